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

  strings = [
    "Domainname"
    "Hostname"
    "Image"
    "MacAddress"
    "StopSignal"
    "User"
    "WorkingDir"
  ];

  numbers = [
    "CpuShares"
    "Memory"
    "MemorySwap"
    "StopTimeout"
  ];

  booleans = [
    "ArgsEscaped"
    "AttachStderr"
    "AttachStdin"
    "AttachStdout"
    "NetworkDisabled"
    "OpenStdin"
    "StdinOnce"
    "Tty"
  ];

  known = listsOfStrings ++ sets ++ strings ++ numbers ++ booleans ++ [ "Healthcheck" ];

  # What engines refuse to load. [ { keys; holds :: value -> bool; what; } ]
  scalars = [
    {
      keys = strings;
      holds = values.isStringLike;
      what = "a string";
    }
    {
      keys = numbers;
      holds = lib.isInt;
      what = "a whole number";
    }
    {
      keys = booleans;
      holds = lib.isBool;
      what = "true or false";
    }
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
      wrong = lib.concatMap (
        {
          keys,
          holds,
          what,
        }:
        map (key: "${where}.${key} must be ${what}, not ${values.describe config.${key}}") (
          lib.filter (key: config.${key} or null != null && !holds config.${key}) keys
        )
      ) scalars;
      wrongLabels = lib.filter (label: !values.isStringLike config.Labels.${label}) (
        lib.attrNames (if config.Labels or null == null then { } else config.Labels)
      );
      label = lib.head wrongLabels;
      healthcheck = config.Healthcheck or null;
      test = healthcheck.Test or null;
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
    else if wrong != [ ] then
      throw (lib.head wrong)
    else if wrongLabels != [ ] then
      throw "${where}.Labels.\"${label}\" must be a string, not ${values.describe config.Labels.${label}}"
    else if healthcheck != null && !lib.isAttrs healthcheck then
      throw "${where}.Healthcheck must be an attribute set, not ${values.describe healthcheck}"
    else if test != null && !(lib.isList test && lib.all values.isStringLike test) then
      throw "${where}.Healthcheck.Test must be a list of strings, such as [ \"CMD\" \"true\" ], not ${
        if lib.isList test then "a list with other elements" else values.describe test
      }"
    else
      lib.foldr (name: lib.warn (warning name)) config unknown;
}
