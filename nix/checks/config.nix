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

  # What an image may inherit (builders/formats/container_config.py).
  inheritable = [
    "Cmd"
    "Entrypoint"
    "Env"
    "ExposedPorts"
    "Healthcheck"
    "Labels"
    "Shell"
    "StopSignal"
    "StopTimeout"
    "User"
    "Volumes"
    "WorkingDir"
  ];

  healthcheckKeys = [
    "Interval"
    "Retries"
    "StartInterval"
    "StartPeriod"
    "Test"
    "Timeout"
  ];

  # spellingIn :: [ key ] -> key -> key
  # A key as the specification spells it. Go, in which engines are written, reads it in any case.
  spellingIn =
    spellings:
    let
      spelling = lib.listToAttrs (
        map (key: {
          name = lib.toLower key;
          value = key;
        }) spellings
      );
    in
    key: spelling.${lib.toLower key} or key;

  # fold :: where -> attribute -> [ key ] -> set -> set
  # Keys as the specification spells them.
  fold =
    where: attribute: spellings: set:
    let
      folded = spellingIn spellings;
      groups = lib.groupBy folded (lib.attrNames set);
      several = lib.filter (key: lib.length groups.${key} > 1) (lib.attrNames groups);
      both = groups.${lib.head several};
    in
    if several != [ ] then
      throw "${where}: ${attribute}.${lib.elemAt both 0} and ${attribute}.${lib.elemAt both 1} are one key to engines; leave one of them out, best all but ${lib.head several}"
    else
      lib.mapAttrs' (key: lib.nameValuePair (folded key)) set;

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
  # check :: imageName -> none -> config -> config
  # Null, which the specification does not know, becomes what nixpkgs' functions write for no
  # configuration: the set `none`.
  check =
    imageName: none: given:
    let
      image = messages.inImage imageName;
      where = "${image}: config";
      top = fold image "config" known given;
      config =
        top
        // lib.optionalAttrs (lib.isAttrs (top.Healthcheck or null)) {
          Healthcheck = fold image "config.Healthcheck" healthcheckKeys top.Healthcheck;
        };
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
    if given == null then
      none
    else if !lib.isAttrs given then
      throw "${where} must be an attribute set, not ${values.describe given}"
    else if refused != [ ] then
      throw (lib.head refused)
    else
      lib.foldr (name: lib.warn (warning name)) config (
        lib.subtractLists known (lib.attrNames config)
      );

  # inherited :: { where, attribute } -> true, false or [ key ] -> [ key ]
  # The keys that `config` inherits from the base image.
  inherited =
    { where, attribute }@at:
    value:
    let
      keys = map (spellingIn inheritable) value;
      others = lib.subtractLists inheritable keys;
    in
    if lib.isBool value then
      lib.optionals value inheritable
    else if !lib.isList value || !lib.all lib.isString value then
      values.refuse at "true, false or a list of strings" value
    else if others != [ ] then
      throw "${where}: ${attribute} names ${lib.head others}, which no image inherits; it may name ${lib.concatStringsSep ", " inheritable}"
    else
      lib.unique keys;
}
