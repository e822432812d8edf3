# Runs the parts of the tests, one after the other or several side by side.
# Sourced by tests/run, which has a directory `work` by then, and a function `run_named PART` that
# runs one.
# shellcheck shell=bash

rows=()
status=0
declare -A names_of_running=()
declare -A starts=()

# What takes long begins first, so that nothing long is left in the end.
by_length=(engine debian13 engine-testing nix unit fuzz report lint)

# run_parts JOBS FAIL_FAST PART…
# Sets `status`, and `rows`, of which each says how a part ended. Parts that run alone print as they
# go. The output of the others is shown whole when they end. With a FAIL_FAST that is not empty, the
# first part that fails ends those that run.
run_parts() {
  local jobs=$1 fail_fast=$2 waiting=("${@:3}")
  ((jobs > 1 && ${#waiting[@]} > 1)) || jobs=1
  ((jobs == 1)) || mapfile -t waiting < <(longest_first "${waiting[@]}")
  while ((${#waiting[@]} + ${#names_of_running[@]})); do
    while ((${#waiting[@]} && ${#names_of_running[@]} < jobs)); do
      start_part "$jobs" "${waiting[0]}"
      waiting=("${waiting[@]:1}")
    done
    await_part
    if ((status)) && [[ $fail_fast ]]; then
      stop_parts
      return
    fi
  done
}

longest_first() {
  local name part
  for name in "${by_length[@]}"; do
    for part; do
      [[ $part != "$name" ]] || echo "$part"
    done
  done
}

# In the background in any case, since bash handles a signal only after what runs in the foreground.
start_part() {
  local jobs=$1 name=$2
  if ((jobs == 1)); then
    printf '\n== %s\n' "$name"
    run_named "$name" &
  else
    printf '== %s begins\n' "$name"
    run_named "$name" >"${work:?}/$name.log" 2>&1 &
  fi
  names_of_running[$!]=$name
  starts[$!]=$SECONDS
}

# Looks again and again: the `wait -n` of bash 5.2 forgets what ended while something else was done.
await_part() {
  local id result=passed
  while :; do
    for id in "${!names_of_running[@]}"; do
      if ! kill -0 "$id" 2>/dev/null; then
        wait "$id" || { result=failed && status=1; }
        end_part "$id" "$result"
        return
      fi
    done
    sleep 0.1
  done
}

end_part() {
  local id=$1 result=$2 name=${names_of_running[$1]}
  local seconds=$((SECONDS - starts[$id])) log=$work/$name.log
  unset "names_of_running[$id]"
  rows+=("$(printf '%-14s %-8s %5d s' "$name" "$result" "$seconds")")
  [[ -e $log ]] || return 0
  printf '\n== %s\n' "$name"
  cat "$log"
  printf '== %s %s after %d s\n' "$name" "$result" "$seconds"
}

# Background jobs ignore SIGINT. tests/conftest.py turns SIGTERM into an orderly end.
stop_parts() {
  local ids=("${!names_of_running[@]}") id
  ((${#ids[@]})) || return 0
  kill -TERM "${ids[@]}" 2>/dev/null || true
  for id in "${ids[@]}"; do
    wait "$id" || true
    end_part "$id" stopped
  done
}
