# Two images in one archive, which `docker load` takes as one; what they share is there once.
{
  dockerTools,
  bash,
  hello,
}:
dockerTools.mergeImages [
  (dockerTools.buildLayeredImage {
    name = "hello";
    tag = "latest";
    contents = [ hello ];
    config.Cmd = [ "/bin/hello" ];
  })
  (dockerTools.streamLayeredImage {
    name = "bash";
    tag = "latest";
    contents = [ bash ];
    config.Cmd = [
      "/bin/bash"
      "-c"
      "echo $BASH_VERSION"
    ];
  })
]
