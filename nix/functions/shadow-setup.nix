# shadowSetup: the beginning of a script that goes on with useradd and its kin.
# It needs `/` to be the image's root: runAsRoot, or fakeRootCommands with
# enableFakechroot. What exists already stays as it is.
{ runtimeShell, shadow }:
''
  export PATH=${shadow}/bin:$PATH
  mkdir -p /etc/pam.d
  if [ ! -e /etc/passwd ]; then
    echo "root:x:0:0::/root:${runtimeShell}" > /etc/passwd
    echo "root:!x:::::::" > /etc/shadow
  fi
  if [ ! -e /etc/group ]; then
    echo "root:x:0:" > /etc/group
    echo "root:x::" > /etc/gshadow
  fi
  if [ ! -e /etc/pam.d/other ]; then
    printf '%s\n' \
      "account sufficient pam_unix.so" \
      "auth sufficient pam_rootok.so" \
      "password requisite pam_unix.so nullok yescrypt" \
      "session required pam_unix.so" > /etc/pam.d/other
  fi
  if [ ! -e /etc/login.defs ]; then
    touch /etc/login.defs
  fi
''
