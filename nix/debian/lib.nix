# The part of nixpkgs' `lib` that is in use here, with nixpkgs' semantics.
let
  inherit (builtins)
    attrNames
    elem
    elemAt
    filter
    foldl'
    genList
    head
    isAttrs
    isFunction
    isList
    isString
    length
    listToAttrs
    match
    replaceStrings
    split
    stringLength
    substring
    tail
    ;

  upperCase = lib.stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  lowerCase = lib.stringToCharacters "abcdefghijklmnopqrstuvwxyz";

  trivial = {
    inherit (builtins)
      add
      bitAnd
      bitOr
      bitXor
      fromJSON
      isBool
      isFloat
      isInt
      isPath
      pathExists
      readFile
      seq
      deepSeq
      sub
      toJSON
      ;
    id = x: x;
    const = x: _: x;
    pipe = foldl' (value: function: function value);
    flip =
      f: a: b:
      f b a;
    or = a: b: a || b;
    and = a: b: a && b;
    mergeAttrs = a: b: a // b;
    min = a: b: if a < b then a else b;
    max = a: b: if a > b then a else b;
    mod = base: int: base - (int * (base / int));
    boolToString = value: if value then "true" else "false";
    importJSON = path: builtins.fromJSON (builtins.readFile path);
    inPureEvalMode = !builtins ? currentSystem;
    version = "25.11.debian";
    trivial.release = "25.11";
    warn = message: builtins.trace "evaluation warning: ${message}";
    warnIf = condition: message: if condition then lib.warn message else lib.id;
    warnIfNot = condition: lib.warnIf (!condition);
    throwIf = condition: message: if condition then throw message else lib.id;
    throwIfNot = condition: lib.throwIf (!condition);
    isFunction = f: isFunction f || (f ? __functor && isFunction (f.__functor f));
    functionArgs =
      f:
      if f ? __functor then
        f.__functionArgs or (lib.functionArgs (f.__functor f))
      else
        builtins.functionArgs f;
    setFunctionArgs = f: args: {
      __functor = self: f;
      __functionArgs = args;
    };
    mirrorFunctionArgs = f: g: lib.setFunctionArgs g (lib.functionArgs f);
    toFunction = value: if lib.isFunction value then value else _: value;
  };

  lists = {
    inherit (builtins)
      all
      any
      concatLists
      concatMap
      elem
      elemAt
      filter
      foldl'
      genList
      head
      isList
      length
      map
      partition
      sort
      tail
      ;
    singleton = x: [ x ];
    foldr =
      f: nul: list:
      let
        go = n: if n == length list then nul else f (elemAt list n) (go (n + 1));
      in
      go 0;
    fold = lib.foldr;
    imap0 = f: list: genList (n: f n (elemAt list n)) (length list);
    imap1 = f: list: genList (n: f (n + 1) (elemAt list n)) (length list);
    range = first: last: if first > last then [ ] else genList (n: first + n) (last - first + 1);
    replicate = n: value: genList (_: value) n;
    optional = condition: value: if condition then [ value ] else [ ];
    optionals = condition: list: if condition then list else [ ];
    toList = value: if isList value then value else [ value ];
    flatten = value: if isList value then builtins.concatMap lib.flatten value else [ value ];
    remove = value: filter (other: other != value);
    unique = foldl' (found: value: if elem value found then found else found ++ [ value ]) [ ];
    last = list: elemAt list (length list - 1);
    init = list: genList (elemAt list) (length list - 1);
    sublist =
      start: count: list:
      genList (n: elemAt list (n + start)) (lib.max 0 (lib.min count (length list - start)));
    take = lib.sublist 0;
    drop = count: list: lib.sublist count (length list) list;
    reverseList =
      list:
      let
        count = length list;
      in
      genList (n: elemAt list (count - n - 1)) count;
    subtractLists = excluded: filter (value: !elem value excluded);
    intersectLists = wanted: filter (value: elem value wanted);
    findFirst =
      predicate: default: list:
      let
        found = filter predicate list;
      in
      if found == [ ] then default else head found;
    count = predicate: list: length (filter predicate list);
    sortOn = key: builtins.sort (a: b: key a < key b);
    zipListsWith =
      f: a: b:
      genList (n: f (elemAt a n) (elemAt b n)) (lib.min (length a) (length b));
    groupBy = builtins.groupBy;
    compareLists =
      compare: a: b:
      if a == [ ] then
        if b == [ ] then 0 else -1
      else if b == [ ] then
        1
      else
        let
          first = compare (head a) (head b);
        in
        if first == 0 then lib.compareLists compare (tail a) (tail b) else first;
  };

  strings = {
    inherit (builtins)
      compareVersions
      concatStringsSep
      isString
      replaceStrings
      stringLength
      substring
      toJSON
      ;
    concatStrings = builtins.concatStringsSep "";
    concatMapStrings = f: list: lib.concatStrings (map f list);
    concatMapStringsSep =
      separator: f: list:
      builtins.concatStringsSep separator (map f list);
    concatLines = lib.concatMapStrings (line: line + "\n");
    intersperse =
      separator: list:
      if length list < 2 then
        list
      else
        tail (
          builtins.concatMap (value: [
            separator
            value
          ]) list
        );
    optionalString = condition: text: if condition then text else "";
    stringToCharacters = text: genList (n: substring n 1 text) (stringLength text);
    stringAsChars = f: text: lib.concatStrings (map f (lib.stringToCharacters text));
    toLower = replaceStrings upperCase lowerCase;
    toUpper = replaceStrings lowerCase upperCase;
    hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
    hasSuffix =
      suffix: text:
      let
        start = stringLength text - stringLength suffix;
      in
      start >= 0 && substring start (stringLength text) text == suffix;
    toIntBase10 = text: builtins.fromJSON (head (match "0*([0-9]+)" text));
    hasInfix = infix: text: match ".*${lib.escapeRegex infix}.*" "${text}" != null;
    removePrefix =
      prefix: text:
      if lib.hasPrefix prefix text then substring (stringLength prefix) (-1) text else text;
    removeSuffix =
      suffix: text:
      if lib.hasSuffix suffix text then
        substring 0 (stringLength text - stringLength suffix) text
      else
        text;
    splitString =
      separator: text:
      let
        context = builtins.getContext text;
      in
      map (part: builtins.appendContext part context) (
        filter isString (split (lib.escapeRegex (toString separator)) (
          builtins.unsafeDiscardStringContext (toString text)
        ))
      );
    escape = list: replaceStrings list (map (c: "\\${c}") list);
    escapeRegex = lib.escape (lib.stringToCharacters "\\[{()^$?*+|.");
    escapeShellArg =
      value:
      let
        text = toString value;
      in
      if match "[[:alnum:],._+:@%/-]+" text == null then
        "'${replaceStrings [ "'" ] [ "'\\''" ] text}'"
      else
        text;
    escapeShellArgs = lib.concatMapStringsSep " " lib.escapeShellArg;
    toShellVar = name: value: "${name}=${lib.escapeShellArg value}";
    makeSearchPath =
      directory: packages:
      builtins.concatStringsSep ":" (
        map (package: "${package}/${directory}") (filter (package: package != null) packages)
      );
    makeSearchPathOutput =
      output: directory: packages:
      lib.makeSearchPath directory (map (lib.getOutput output) packages);
    makeBinPath = lib.makeSearchPathOutput "bin" "bin";
    makeLibraryPath = lib.makeSearchPathOutput "lib" "lib";
    versionOlder = a: b: builtins.compareVersions b a == 1;
    versionAtLeast = a: b: !lib.versionOlder a b;
    fileContents = path: lib.removeSuffix "\n" (builtins.readFile path);
    getName =
      value:
      if isString value then
        (builtins.parseDrvName value).name
      else
        value.pname or (builtins.parseDrvName value.name).name;
    getVersion =
      value:
      if isString value then
        (builtins.parseDrvName value).version
      else
        value.version or (builtins.parseDrvName value.name).version;
    isStorePath =
      value:
      (isString value || builtins.isPath value || value ? outPath)
      && builtins.dirOf (toString value) == builtins.storeDir;
    levenshtein =
      a: b:
      let
        row =
          i: previous:
          foldl' (
            current: j:
            current
            ++ [
              (lib.min (lib.min (elemAt previous j + 1) (lib.last current + 1)) (
                elemAt previous (j - 1)
                + (if substring (i - 1) 1 a == substring (j - 1) 1 b then 0 else 1)
              ))
            ]
          ) [ i ] (lib.range 1 (stringLength b));
      in
      lib.last (
        foldl' (previous: i: row i previous) (lib.range 0 (stringLength b)) (
          lib.range 1 (stringLength a)
        )
      );
  };

  attrsets = {
    inherit (builtins)
      attrNames
      attrValues
      catAttrs
      getAttr
      hasAttr
      intersectAttrs
      isAttrs
      listToAttrs
      mapAttrs
      removeAttrs
      zipAttrsWith
      ;
    nameValuePair = name: value: { inherit name value; };
    optionalAttrs = condition: attributes: if condition then attributes else { };
    mapAttrs' = f: set: listToAttrs (map (name: f name set.${name}) (attrNames set));
    mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
    concatMapAttrs = f: set: foldl' (a: b: a // b) { } (lib.mapAttrsToList f set);
    filterAttrs =
      predicate: set:
      removeAttrs set (filter (name: !predicate name set.${name}) (attrNames set));
    genAttrs = names: f: listToAttrs (map (name: lib.nameValuePair name (f name)) names);
    attrByPath =
      path: default: set:
      if path == [ ] then
        set
      else if isAttrs set && set ? ${head path} then
        lib.attrByPath (tail path) default set.${head path}
      else
        default;
    hasAttrByPath =
      path: set:
      path == [ ] || (set ? ${head path} && lib.hasAttrByPath (tail path) set.${head path});
    getAttrFromPath = path: lib.attrByPath path (throw "no attribute ${builtins.concatStringsSep "." path}");
    attrVals = names: set: map (name: set.${name}) names;
    getAttrs = names: set: lib.genAttrs names (name: set.${name});
    foldlAttrs =
      f: initial: set:
      foldl' (state: name: f state name set.${name}) initial (attrNames set);
    recursiveUpdate =
      a: b:
      a
      // builtins.mapAttrs (
        name: value:
        if isAttrs value && isAttrs (a.${name} or null) then
          lib.recursiveUpdate a.${name} value
        else
          value
      ) b;
    isDerivation = value: value.type or null == "derivation";
    getOutput = output: package: package.${output} or package.out or package;
    getBin = lib.getOutput "bin";
    getLib = lib.getOutput "lib";
    getDev = lib.getOutput "dev";
    recurseIntoAttrs = set: set // { recurseForDerivations = true; };
    dontRecurseIntoAttrs = set: set // { recurseForDerivations = false; };
  };

  customisation = {
    makeOverridable =
      f:
      lib.mirrorFunctionArgs f (
        originalArguments:
        let
          result = f originalArguments;
          with' =
            new: originalArguments // (if lib.isFunction new then new originalArguments else new);
          override = lib.mirrorFunctionArgs f (new: lib.makeOverridable f (with' new));
          again =
            g:
            lib.makeOverridable (lib.mirrorFunctionArgs f (
              arguments: g (f arguments)
            )) originalArguments;
        in
        if isAttrs result then
          result
          // {
            inherit override;
            overrideDerivation = change: again (package: lib.overrideDerivation package change);
          }
          // lib.optionalAttrs (result ? overrideAttrs) {
            overrideAttrs = change: again (package: package.overrideAttrs change);
          }
        else if lib.isFunction result then
          lib.setFunctionArgs result (lib.functionArgs result) // { inherit override; }
        else
          result
      );
    overrideDerivation =
      package: change:
      let
        made = derivation (package.drvAttrs // change package);
      in
      lib.extendDerivation true (
        package.passthru or { } // lib.optionalAttrs (package ? meta) { inherit (package) meta; }
      ) made;
    extendDerivation =
      condition: passthru: package:
      assert condition;
      package // passthru;
    callPackageWith =
      available: function: arguments:
      let
        f = if lib.isFunction function then function else import function;
        wanted = lib.functionArgs f;
        found = builtins.intersectAttrs wanted available;
        missing = filter (name: !wanted.${name} && !(found ? ${name}) && !(arguments ? ${name})) (
          attrNames wanted
        );
      in
      if missing != [ ] then
        throw "callPackage: no package '${head missing}' in this package set"
      else
        lib.makeOverridable f (found // arguments);
    makeScope =
      newScope: f:
      let
        self = f self // {
          callPackage = self.newScope { };
          newScope = scope: newScope (self // scope);
        };
      in
      self;
  };

  fixedPoints = {
    fix =
      f:
      let
        x = f x;
      in
      x;
    extends =
      overlay: f: final:
      let
        previous = f final;
      in
      previous // overlay final previous;
    composeExtensions =
      f: g: final: previous:
      let
        first = f final previous;
      in
      first // g final (previous // first);
    composeManyExtensions = lib.foldr lib.composeExtensions (_: _: { });
  };

  other = {
    assertMsg = condition: message: condition || throw message;
    assertOneOf =
      name: value: list:
      lib.assertMsg (elem value list) "${name} must be one of ${lib.generators.toPretty { } list}, but is: ${lib.generators.toPretty { } value}";
    getExe =
      package:
      lib.getExe' package (package.meta.mainProgram or (lib.getName package));
    getExe' = package: program: "${lib.getBin package}/bin/${program}";
    fakeHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    fakeSha256 = lib.concatStrings (lib.replicate 64 "0");
    licenses = lib.genAttrs [ "mit" "gpl3Plus" "free" ] (name: { shortName = name; });
    maintainers = { };
    teams = { };
    platforms = {
      linux = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      all = lib.platforms.linux;
      unix = lib.platforms.linux;
    };
    generators = {
      toPretty =
        _: value:
        if isString value then
          "\"${value}\""
        else if isList value then
          "[ ${lib.concatMapStringsSep " " (lib.generators.toPretty { }) value} ]"
        else if lib.isFunction value then
          "<function>"
        else if lib.isDerivation value then
          "<derivation ${value.name}>"
        else if isAttrs value then
          "{ ${lib.concatStrings (lib.mapAttrsToList (name: v: "${name} = ${lib.generators.toPretty { } v}; ") value)}}"
        else if value == null then
          "null"
        else if builtins.isBool value then
          lib.boolToString value
        else
          toString value;
      toJSON = _: builtins.toJSON;
      toKeyValue = _: set: lib.concatLines (lib.mapAttrsToList (name: value: "${name}=${toString value}") set);
    };
    fetchers = {
      proxyImpureEnvVars = [
        "http_proxy"
        "https_proxy"
        "ftp_proxy"
        "all_proxy"
        "no_proxy"
        "HTTP_PROXY"
        "HTTPS_PROXY"
        "FTP_PROXY"
        "ALL_PROXY"
        "NO_PROXY"
        "NIX_SSL_CERT_FILE"
      ];
      # A fetcher that takes outputHash and outputHashAlgo takes `hash`, or a name of
      # `hashTypes`, in their place.
      withNormalizedHash =
        {
          hashTypes ? [ "sha256" ],
        }:
        fetcher:
        let
          known = lib.functionArgs fetcher;
          names = [ "hash" ] ++ hashTypes;
          normalise =
            args:
            let
              given = filter (name: args ? ${name}) names;
              name = head given;
              value = args.${name};
            in
            if args ? outputHash then
              args
            else if given == [ ] then
              lib.throwIf (!known.outputHash) "fetcher called without `hash`" args
            else if length given > 1 then
              throw "fetcher called with mutually-incompatible arguments: ${lib.concatStringsSep ", " given}"
            else
              removeAttrs args names
              // {
                outputHash =
                  if value != "" then
                    value
                  else if name == "hash" then
                    lib.fakeHash
                  else
                    lib.fakeSha256;
                outputHashAlgo = if name == "hash" then null else name;
              };
        in
        assert known ? outputHash && known ? outputHashAlgo;
        lib.setFunctionArgs (args: fetcher (normalise args)) (
          removeAttrs known [
            "outputHash"
            "outputHashAlgo"
          ]
          // {
            hash = known.outputHash;
          }
        );
    };
    cleanSourceWith =
      {
        src,
        filter ? (_: _: true),
        name ? "source",
      }:
      builtins.path {
        inherit filter name;
        path = src;
      };
    cleanSource =
      src:
      lib.cleanSourceWith {
        inherit src;
        filter = path: _: baseNameOf path != ".git";
      };
  };

  lib =
    trivial
    // lists
    // strings
    // attrsets
    // customisation
    // fixedPoints
    // other
    // {
      inherit
        trivial
        lists
        strings
        attrsets
        customisation
        fixedPoints
        ;
      meta = { inherit (other) getExe getExe'; };
      sources = { inherit (other) cleanSource cleanSourceWith; };
      asserts = { inherit (other) assertMsg assertOneOf; };
    };
in
lib
