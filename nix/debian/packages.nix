# What nix/debian is made of: for each attribute the Debian packages that make up
# its one store path. What they need beside these (by DT_NEEDED) is found by the
# indexer and becomes a store path of its own, named for its Debian package.
#
# Names are those of Debian 12, and what apt offers under another name there is found by
# what that package provides (libmagic1t64 provides libmagic1). A version in a name is
# found too: @gcc@ stands for what `versions` says of gcc, in any string.
#
#   debs         the packages, unpacked into one tree
#   wheels       a Python package as pip knows it, for a Debian that has no such `debs`
#   forPython    the version of Python that the wheels are for
#   perl, python whether scripts of this interpreter are pointed at it
#   shell        false: leave shell scripts alone (glibc is what bash needs)
#   needed       file -> libraries that it loads without naming them
#   linked       libraries that its linker scripts name
#   symlinks     links to make, wrappers variables to set before a program starts
#   mainProgram  where it is not the attribute's name
#   pythonModules, pythonDeps  a Python package: what it needs of other ones
let
  simple = name: { debs = [ name ]; };
  program = name: mainProgram: (simple name) // { inherit mainProgram; };
  pythonPackage = name: pythonDeps: (simple name) // { inherit pythonDeps; };
in
{
  # Where the package `package` depends on gcc-14, and `dependsOn` is gcc-@version@, it is 14.
  versions = {
    gcc = {
      package = "gcc";
      dependsOn = "gcc-@version@";
    };
    golang = {
      package = "golang-go";
      dependsOn = "golang-@version@-go";
    };
    llvm = {
      package = "llvm";
      dependsOn = "llvm-@version@";
    };
    openjdk = {
      package = "default-jre-headless";
      dependsOn = "openjdk-@version@-jre-headless";
    };
    perl = {
      package = "perl";
      dependsOn = "libperl@version@";
    };
    postgresql = {
      package = "postgresql";
      dependsOn = "postgresql-@version@";
    };
    python = {
      package = "python3";
      dependsOn = "python@version@";
    };
  };

  base = {
    acl = program "acl" "getfacl";
    attr = program "attr" "getfattr";
    bash = (simple "bash") // {
      symlinks."bin/sh" = "bash";
    };
    binutils = {
      debs = [
        "binutils"
        "binutils-common"
        "binutils-x86-64-linux-gnu"
      ];
      mainProgram = "ld";
    };
    busybox = simple "busybox-static";
    bzip2 = simple "bzip2";
    cacert = simple "ca-certificates";
    coreutils = simple "coreutils";
    cowsay = {
      debs = [
        "cowsay"
        "libtext-charwidth-perl"
      ];
      perl = true;
      wrappers."bin/cowsay".PERL5LIB = "@out@/lib/x86_64-linux-gnu/perl5/@perl@";
    };
    curl = simple "curl";
    diffutils = program "diffutils" "diff";
    dumb-init = simple "dumb-init";
    fakeroot = {
      debs = [
        "fakeroot"
        "libfakeroot"
      ];
      symlinks = {
        "bin/fakeroot" = "fakeroot-sysv";
        "bin/faked" = "faked-sysv";
      };
      # In the sandbox's user namespace, where one uid is mapped, the kernel
      # refuses a chown with EINVAL, which fakeroot takes for a failure: nixpkgs
      # patches it, here it doesn't try.
      wrappers."bin/fakeroot-sysv".FAKEROOTDONTTRYCHOWN = "1";
    };
    file = {
      wrappers."bin/file".MAGIC = "@out@/lib/file/magic.mgc";
      debs = [
        "file"
        "libmagic1"
        "libmagic-mgc"
      ];
    };
    findutils = program "findutils" "find";
    gawk = (simple "gawk") // {
      symlinks."bin/awk" = "gawk";
    };
    gcc-unwrapped = {
      debs = [
        "gcc-@gcc@"
        "cpp-@gcc@"
        "libgcc-@gcc@-dev"
      ];
      mainProgram = "gcc";
    };
    git = (simple "git") // {
      wrappers."bin/git" = {
        GIT_EXEC_PATH = "@out@/lib/git-core";
        GIT_TEMPLATE_DIR = "@out@/share/git-core/templates";
      };
    };
    glibc = {
      debs = [ "libc6" ];
      shell = false;
    };
    glibc-dev = {
      debs = [
        "libc6-dev"
        "linux-libc-dev"
        "libcrypt-dev"
        "libnsl-dev"
        "libtirpc-dev"
      ];
      # What the linker scripts libc.so and libm.so name.
      linked = [
        "ld-linux-x86-64.so.2"
        "libc.so.6"
        "libm.so.6"
        "libmvec.so.1"
      ];
    };
    gnugrep = program "grep" "grep";
    gnumake = program "make" "make";
    gnused = program "sed" "sed";
    gnutar = program "tar" "tar";
    gzip = simple "gzip";
    hello = simple "hello";
    iana-etc = simple "netbase";
    iproute2 = program "iproute2" "ip";
    jq = simple "jq";
    less = simple "less";
    libdeflate = (simple "libdeflate0") // {
      symlinks."lib/libdeflate.so.0" = "x86_64-linux-gnu/libdeflate.so.0";
    };
    libarchive = simple "libarchive13";
    libcap = program "libcap2-bin" "setcap";
    lsof = simple "lsof";
    nano = simple "nano";
    ncurses = {
      debs = [
        "ncurses-bin"
        "ncurses-base"
      ];
      mainProgram = "tput";
    };
    nginx = {
      debs = [
        "nginx"
        "nginx-common"
      ];
    };
    nix = simple "nix-bin";
    openssl = simple "openssl";
    patch = simple "patch";
    patchelf = simple "patchelf";
    perl = {
      debs = [
        "perl-base"
        "perl"
        "perl-modules-@perl@"
        "libperl@perl@"
      ];
      wrappers."bin/perl".PERL5LIB = "@out@/lib/x86_64-linux-gnu/perl/@perl@:@out@/share/perl/@perl@:@out@/lib/x86_64-linux-gnu/perl-base:\${PERL5LIB-}";
    };
    pigz = simple "pigz";
    procps = program "procps" "ps";
    python3-unwrapped = {
      debs = [
        "python@python@"
        "python@python@-minimal"
        "libpython@python@-minimal"
        "libpython@python@-stdlib"
      ];
      needed."bin/python@python@" = [ "libgcc_s.so.1" ];
      mainProgram = "python3";
      symlinks."bin/python3" = "python@python@";
    };
    redis = {
      debs = [
        "redis-server"
        "redis-tools"
      ];
      mainProgram = "redis-server";
    };
    rsync = simple "rsync";
    shadow = {
      debs = [
        "passwd"
        "login"
      ];
      mainProgram = "useradd";
    };
    skopeo = simple "skopeo";
    socat = simple "socat";
    sqlite = program "sqlite3" "sqlite3";
    strace = simple "strace";
    tini = simple "tini";
    tree = simple "tree";
    umoci = simple "umoci";
    util-linux = {
      debs = [
        "util-linux"
        "mount"
      ];
      mainProgram = "mount";
    };
    which = (program "debianutils" "which") // {
      symlinks."bin/which" = "which.debianutils";
    };
    xz = program "xz-utils" "xz";
    zstd = simple "zstd";

    python-pyelftools = pythonPackage "python3-pyelftools" [ ];
    python-zstandard = pythonPackage "python3-zstandard" [ ];
    # Since Debian 13.
    python-isal = (simple "python3-isal") // {
      wheels = [ "isal==1.7.2" ];
      forPython = "@python@";
    };
    python-libarchive-c = pythonPackage "python3-libarchive-c" [ ];
    python-pytest = pythonPackage "python3-pytest" [
      "python-attrs"
      "python-iniconfig"
      "python-packaging"
      "python-pluggy"
    ];
    python-attrs = pythonPackage "python3-attr" [ ];
    python-iniconfig = pythonPackage "python3-iniconfig" [ ];
    python-packaging = pythonPackage "python3-packaging" [ ];
    python-pluggy = pythonPackage "python3-pluggy" [ ];
    python-numpy = pythonPackage "python3-numpy" [ ];
    python-requests = pythonPackage "python3-requests" [
      "python-urllib3"
      "python-idna"
      "python-chardet"
      "python-certifi"
    ];
    python-six = pythonPackage "python3-six" [ ];
    # Until Debian 12.
    python-urllib3 = pythonPackage "python3-urllib3" [ "python-six" ];
    python-idna = pythonPackage "python3-idna" [ ];
    python-chardet = pythonPackage "python3-chardet" [ ];
    python-certifi = pythonPackage "python3-certifi" [ ];
  };

  # Only for measurements: a closure as large as that of a desktop.
  large =
    {
      golang-go = simple "golang-@golang@-go";
      golang-src = simple "golang-@golang@-src";
      llvm = simple "llvm-@llvm@";
      openjdk-jre-headless = simple "openjdk-@openjdk@-jre-headless";
      postgresql = simple "postgresql-@postgresql@";
    }
    // builtins.listToAttrs (
      map (name: {
        inherit name;
        value = simple name;
      }) [
        "adwaita-icon-theme"
        "blender"
        "darktable"
        "ffmpeg"
        "gdb"
        "gimp"
        "inkscape"
        "kicad"
        "krita"
        "libreoffice-common"
        "libreoffice-core"
        "octave"
        "papirus-icon-theme"
        "python3-matplotlib"
        "python3-pandas"
        "python3-scipy"
        "python3-sympy"
        "qemu-system-data"
        "qemu-system-x86"
        "r-base-core"
        "texlive-base"
        "texlive-latex-extra"
        "texlive-latex-recommended"
        "vlc-plugin-base"
      ]
  );
}
