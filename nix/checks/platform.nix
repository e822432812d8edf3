# Platforms as images name them, in Go's words: an engine passes an image by that says "aarch64".
# Others' words (of Nix, Debian, `uname -m` and `docker --platform`) are refused with the right one.
# Sources: OCI image specification, "Image Index", the properties of `platform`; the lists
# KnownArch and KnownOS of the Go toolchain.
{
  lib,
  arguments,
  go,
  stdenvNoCC,
  values,
}:
let
  # These four as in builders/image/platform.py.
  architectures = [
    "386"
    "amd64"
    "amd64p32"
    "arm"
    "arm64"
    "arm64be"
    "armbe"
    "loong64"
    "mips"
    "mips64"
    "mips64le"
    "mips64p32"
    "mips64p32le"
    "mipsle"
    "ppc"
    "ppc64"
    "ppc64le"
    "riscv"
    "riscv64"
    "s390"
    "s390x"
    "sparc"
    "sparc64"
    "wasm"
  ];

  # With the variant behind a slash, where the word says one.
  architectureWords = {
    "aarch64" = "arm64";
    "aarch64_be" = "arm64be";
    "amd64v2" = "amd64/v2";
    "amd64v3" = "amd64/v3";
    "amd64v4" = "amd64/v4";
    "arm32v5" = "arm/v5";
    "arm32v6" = "arm/v6";
    "arm32v7" = "arm/v7";
    "arm64/v8" = "arm64";
    "arm64v8" = "arm64";
    "armel" = "arm/v5";
    "armhf" = "arm/v7";
    "armv5" = "arm/v5";
    "armv5tel" = "arm/v5";
    "armv6" = "arm/v6";
    "armv6l" = "arm/v6";
    "armv7" = "arm/v7";
    "armv7a" = "arm/v7";
    "armv7l" = "arm/v7";
    "armv8" = "arm64";
    "armv8l" = "arm/v8";
    "i386" = "386";
    "i486" = "386";
    "i586" = "386";
    "i686" = "386";
    "ia32" = "386";
    "loongarch64" = "loong64";
    "mips64el" = "mips64le";
    "mipsel" = "mipsle";
    "powerpc" = "ppc";
    "powerpc64" = "ppc64";
    "powerpc64le" = "ppc64le";
    "ppc64el" = "ppc64le";
    "riscv32" = "riscv";
    "wasm32" = "wasm";
    "x64" = "amd64";
    "x86" = "386";
    "x86-64" = "amd64";
    "x86_64" = "amd64";
    "x86_64_v2" = "amd64/v2";
    "x86_64_v3" = "amd64/v3";
    "x86_64_v4" = "amd64/v4";
  };

  systems = [
    "aix"
    "android"
    "darwin"
    "dragonfly"
    "freebsd"
    "hurd"
    "illumos"
    "ios"
    "js"
    "linux"
    "nacl"
    "netbsd"
    "openbsd"
    "plan9"
    "solaris"
    "wasip1"
    "windows"
    "zos"
  ];

  systemWords = {
    "macos" = "darwin";
    "win32" = "windows";
  };

  # Which variants an architecture has; of others than these, whatever is a word.
  variants = {
    amd64 = {
      pattern = "v[1-4]";
      example = "v3";
    };
    arm = {
      pattern = "v[5-8]";
      example = "v7";
    };
    arm64 = {
      pattern = "v[89]([.][0-9]+)?";
      example = "v8";
    };
    ppc64le = {
      pattern = "power[0-9]+";
      example = "power9";
    };
    riscv64 = {
      pattern = "rva[0-9]+[su]64";
      example = "rva22u64";
    };
  };
  # What engines take an image for that names none.
  impliedVariants = {
    amd64 = "v1";
    arm = "v7";
    arm64 = "v8";
  };
  anyVariant.pattern = "[a-z0-9]+([._-][a-z0-9]+)*";

  named =
    list: words: word:
    if lib.elem word list then word else words.${word} or null;

  # firstOf :: (word -> null or string) -> [ word ] -> null or string
  firstOf =
    meaning: words:
    lib.head (lib.filter (found: found != null) (map meaning words) ++ [ null ]);

  # Of a system or a triple, as "aarch64-linux" or "x86_64-unknown-linux-gnu".
  beforeDash = word: lib.head (lib.splitString "-" word);

  quoted = word: "\"${word}\"";
in
rec {
  # goArchitecture :: string -> null or string
  # What a word for an architecture is in Go, a variant behind a slash: "ARMv7l" is "arm/v7". Null
  # for what is no such word.
  goArchitecture =
    word:
    let
      parts = lib.filter (part: part != "" && !(lib.elem part systems)) (
        lib.splitString "/" (lib.toLower word)
      );
      whole = lib.concatStringsSep "/" parts;
      architecture = named architectures architectureWords;
      first = firstOf architecture [
        (lib.head parts)
        (beforeDash (lib.head parts))
      ];
      known = architecture whole;
    in
    if known != null then
      known
    else if parts == [ ] || first == null || lib.length parts > 2 then
      null
    else if lib.length parts == 2 && !(lib.hasInfix "/" first) then
      "${first}/${lib.last parts}"
    else
      first;

  # goSystem :: string -> null or string
  # What a word for an operating system is in Go; of a whole platform, its part.
  goSystem =
    word:
    firstOf (named systems systemWords) (
      lib.concatMap (lib.splitString "-") (lib.splitString "/" (lib.toLower word))
    );

  # architecture :: { where, attribute } -> value -> string
  architecture =
    at: value:
    let
      inherit (at) where attribute;
      meant = lib.splitString "/" (goArchitecture value);
      near = arguments.nearest architectures (lib.toLower value);
      guess = lib.optionalString (near != null) "; did you mean ${quoted near}?";
      # Only images have an attribute for it.
      variant = lib.optionalString (
        lib.length meant > 1 && attribute == "architecture"
      ) "; variant = ${quoted (lib.last meant)}";
    in
    if lib.isInt value then
      throw "${where}: ${attribute} must be a string, not ${values.describe value}; write ${attribute} = ${quoted (toString value)}"
    else if !lib.isString value then
      values.refuse at "a string such as \"amd64\"" value
    else if lib.elem value architectures || value == go.GOARCH then
      value
    else if goArchitecture value != null then
      throw "${where}: ${attribute} must be one of Go's words, not ${values.describe value}; write ${attribute} = ${quoted (lib.head meant)}${variant}"
    else
      throw "${where}: ${attribute} must be one of Go's words, such as \"amd64\", \"arm64\", \"arm\" or \"386\", not ${values.describe value}${guess}";

  # system :: { where, attribute } -> value -> string
  system =
    at: value:
    let
      inherit (at) where attribute;
      meant = goSystem value;
      hint = lib.optionalString (meant != null) "; write ${attribute} = ${quoted meant}";
    in
    if !lib.isString value then
      values.refuse at "a string such as \"linux\"" value
    else if lib.elem value systems then
      value
    else
      throw "${where}: ${attribute} must be one of Go's words, such as \"linux\", not ${values.describe value}${hint}";

  # isImplied :: { architecture, variant } -> bool
  # Whether the variant goes without saying. The counterpart is Platform.plain.
  isImplied =
    { architecture, variant, ... }:
    variant != null && impliedVariants.${architecture} or null == variant;

  # variant :: { where, attribute } -> architecture -> value -> null or string
  # Null stands for that of the package set, as far as it is for this architecture and has one.
  variant =
    at: architecture: value:
    let
      inherit (at) where attribute;
      version = stdenvNoCC.hostPlatform.parsed.cpu.version or "";
      known = variants.${architecture} or anyVariant;
      inherit (known) pattern;
      such = lib.optionalString (known ? example) " such as ${quoted known.example}";
      # 7, "7", "V7", "armv7" and "v7l" mean the same.
      number = builtins.match "[^0-9]*([0-9])[^0-9]*" (toString value);
      fixed = "v${lib.head number}";
      hint = lib.optionalString (
        number != null && builtins.match pattern fixed != null
      ) "; write ${attribute} = ${quoted fixed}";
    in
    if value == null then
      if architecture == "arm" && go.GOARCH == "arm" && builtins.match "[5-8]" version != null then
        "v${version}"
      else
        null
    else if !(lib.isString value || lib.isInt value) then
      values.refuse at "null or a string${such}" value
    else if lib.isString value && builtins.match pattern value != null then
      value
    else
      throw "${where}: ${attribute} must be null or a variant of ${architecture}${such}, not ${values.describe value}${hint}";
}
