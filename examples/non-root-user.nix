# A container that runs as a user of its own, with a home, a directory for data and a /tmp.
{
  dockerTools,
  bashInteractive,
  coreutils,
}:
let
  user = dockerTools.nonRootUser.override {
    name = "app";
    directories = [ "/data" ];
  };
in
dockerTools.streamLayeredImage {
  name = "non-root-user";
  tag = "latest";

  contents = [
    bashInteractive
    coreutils
    dockerTools.writableTmp
    user
  ];

  config = {
    User = user.user;
    WorkingDir = user.home;
    Cmd = [
      "/bin/bash"
      "-c"
      "id -un; touch /data/file /tmp/file $HOME/file && echo written"
    ];
    Env = [ "HOME=${user.home}" ];
  };
}
