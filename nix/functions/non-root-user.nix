# nonRootUser: /etc/passwd and its kin with a user for the container, and directories of that user.
{
  lib,
  arguments,
  messages,
  runCommand,
  values,
}:
arguments.strict "nonRootUser" (
  {
    name ? "user",
    uid ? 1000,
    gid ? uid,
    group ? name,
    home ? "/home/${name}",
    shell ? "/bin/sh",
    directories ? [ ],
    extraPasswdLines ? [ ],
    extraGroupLines ? [ ],
  }:
  let
    where = messages.inFunction "nonRootUser";
    at = attribute: { inherit where attribute; };
    must =
      attribute: what: holds: value:
      if holds value then value else values.refuse (at attribute) what value;

    matches = pattern: value: lib.isString value && builtins.match pattern value != null;
    isName = matches "[a-z_][a-z0-9_-]*";
    isPath = matches "/[^:\n]+";

    checkedName = must "name" "a name of small letters, digits, '_' and '-'" isName name;
    checkedGroup = must "group" "a name of small letters, digits, '_' and '-'" isName group;
    checkedHome = must "home" "an absolute path below /" isPath home;
    checkedShell = must "shell" "an absolute path below /" isPath "${shell}";
    checkedUid = values.id (at "uid") uid;
    checkedGid = values.id (at "gid") gid;
    owned = [ checkedHome ] ++ map (must "directories" "absolute paths below /" isPath) directories;

    lines = lib.concatMapStrings (line: "${line}\n");
    passwd = lines (
      [
        "root:x:0:0:root user:/var/empty:/bin/sh"
        "${checkedName}:x:${toString checkedUid}:${toString checkedGid}:${checkedName}:${checkedHome}:${checkedShell}"
      ]
      ++ extraPasswdLines
      ++ [ "nobody:x:65534:65534:nobody:/var/empty:/bin/sh" ]
    );
    groups = lines (
      [
        "root:x:0:"
        "${checkedGroup}:x:${toString checkedGid}:"
      ]
      ++ extraGroupLines
      ++ [ "nobody:x:65534:" ]
    );
  in
  runCommand "non-root-user-${checkedName}"
    {
      inherit passwd groups;
      passAsFile = [
        "passwd"
        "groups"
      ];
      passthru = {
        # For `config.User`: by number, as Kubernetes wants it.
        user = "${toString checkedUid}:${toString checkedGid}";
        home = checkedHome;
        copyEngineFiles = true;
        imageDirectories = map (path: {
          inherit path;
          mode = "0755";
          uid = checkedUid;
          gid = checkedGid;
        }) owned;
      };
    }
    ''
      mkdir -p $out/etc $out/var/empty
      cp $passwdPath $out/etc/passwd
      cp $groupsPath $out/etc/group
      echo "hosts: files dns" > $out/etc/nsswitch.conf
      for directory in ${lib.escapeShellArgs owned}; do mkdir -p "$out$directory"; done
    ''
)
