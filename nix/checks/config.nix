# Checks `config`, the part of the image configuration that containers run with: what engines refuse
# to load is refused at evaluation.
# Source of the keys: OCI image specification, "Image Configuration", and Docker
# image specification v1.3.0.
{
  lib,
  arguments,
  messages,
  values,
}:
let
  # kind :: { holds :: value -> bool; what; hint :: key -> value -> string; }
  kinds = {
    listOfStrings = {
      holds = value: lib.isList value && lib.all values.isStringLike value;
      what = "a list of strings";
      hint =
        key: value:
        if lib.isList value then " that has other elements" else "; write ${key} = [ … ];";
    };
    set = {
      holds = lib.isAttrs;
      what = "an attribute set";
      hint = key: _: "; write ${key} = { … };";
    };
    string = {
      holds = values.isStringLike;
      what = "a string";
      hint = key: value: lib.optionalString (lib.isInt value) "; write ${key} = \"${toString value}\";";
    };
    number = {
      holds = lib.isInt;
      what = "a whole number";
      hint = _: _: "";
    };
    boolean = {
      holds = lib.isBool;
      what = "true or false";
      hint = _: _: "";
    };
  };

  keys = with kinds; {
    ArgsEscaped = boolean;
    AttachStderr = boolean;
    AttachStdin = boolean;
    AttachStdout = boolean;
    Cmd = listOfStrings;
    CpuShares = number;
    Domainname = string;
    Entrypoint = listOfStrings;
    Env = listOfStrings;
    ExposedPorts = set;
    Healthcheck = set;
    Hostname = string;
    Image = string;
    Labels = set;
    MacAddress = string;
    Memory = number;
    MemorySwap = number;
    NetworkDisabled = boolean;
    OnBuild = listOfStrings;
    OpenStdin = boolean;
    Shell = listOfStrings;
    StdinOnce = boolean;
    StopSignal = string;
    StopTimeout = number;
    Tty = boolean;
    User = string;
    Volumes = set;
    WorkingDir = string;
  };
  known = lib.attrNames keys;

  # refusals :: where -> { key = kind; } -> set -> [ string ]; null is as good as nothing
  refusals =
    where: kindOf: set:
    lib.concatMap (
      key:
      let
        value = set.${key} or null;
        kind = kindOf.${key};
        # As it is written in Nix: labels mostly have dots.
        name = if builtins.match "[A-Za-z_][A-Za-z0-9_-]*" key != null then key else builtins.toJSON key;
      in
      lib.optional (value != null && !kind.holds value)
        "${where}.${name} must be ${kind.what}, not ${values.describe value}${kind.hint name value}"
    ) (lib.attrNames kindOf);
in
{
  # check :: imageName -> config -> config
  check =
    imageName: config:
    let
      where = "${messages.inImage imageName}: config";
      # What is no set is refused as such, and has nothing to look into.
      inside =
        key:
        let
          value = config.${key} or null;
        in
        if lib.isAttrs value then value else { };
      labels = inside "Labels";
      refused =
        refusals where keys config
        ++ refusals "${where}.Labels" (lib.mapAttrs (_: _: kinds.string) labels) labels
        ++ refusals "${where}.Healthcheck" { Test = kinds.listOfStrings; } (inside "Healthcheck");
      warning =
        name:
        let
          guess = arguments.nearest known name;
        in
        "${where}.${name} is no key of the image specification, and engines ignore it"
        + lib.optionalString (guess != null) "; did you mean ${guess}?";
    in
    if config == null then
      config
    else if !lib.isAttrs config then
      throw "${where} must be an attribute set, not ${values.describe config}"
    else if refused != [ ] then
      throw (lib.head refused)
    else
      lib.foldr (name: lib.warn (warning name)) config (
        lib.subtractLists known (lib.attrNames config)
      );
}
