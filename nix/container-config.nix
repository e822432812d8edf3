# Checks `config`, the part of the image configuration that containers run with.
# Source of the keys: OCI image specification, "Image Configuration", and Docker
# image specification v1.3.0.
{
  lib,
  arguments,
  values,
}:
let
  listsOfStrings = [
    "Cmd"
    "Entrypoint"
    "Env"
    "OnBuild"
    "Shell"
  ];

  sets = [
    "ExposedPorts"
    "Volumes"
    "Labels"
  ];

  known = listsOfStrings ++ sets ++ [
    "ArgsEscaped"
    "AttachStderr"
    "AttachStdin"
    "AttachStdout"
    "CpuShares"
    "Domainname"
    "Healthcheck"
    "Hostname"
    "Image"
    "MacAddress"
    "Memory"
    "MemorySwap"
    "NetworkDisabled"
    "OpenStdin"
    "StdinOnce"
    "StopSignal"
    "StopTimeout"
    "Tty"
    "User"
    "WorkingDir"
  ];
in
{
  # check :: imageName -> config -> config
  check =
    imageName: config:
    let
      where = "in docker image ${imageName}: config";
      unknown = lib.subtractLists known (lib.attrNames config);
      notAList = lib.filter (
        key:
        let
          value = config.${key} or null;
        in
        value != null && !(lib.isList value && lib.all values.isStringLike value)
      ) listsOfStrings;
      notASet = lib.filter (
        key:
        let
          value = config.${key} or null;
        in
        value != null && !lib.isAttrs value
      ) sets;
      key = lib.head notAList;
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
      throw "${where} must be an attribute set, not a ${builtins.typeOf config}"
    else if notAList != [ ] then
      throw "${where}.${key} must be a list of strings, not ${
        if lib.isList config.${key} then
          "a list with other elements"
        else
          "a ${builtins.typeOf config.${key}}; write ${key} = [ … ];"
      }"
    else if notASet != [ ] then
      throw "${where}.${lib.head notASet} must be an attribute set, not a ${
        builtins.typeOf config.${lib.head notASet}
      }; write ${lib.head notASet} = { \"…\" = { }; };"
    else
      lib.foldr (name: lib.warn (warning name)) config unknown;
}
