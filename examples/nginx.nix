# A web server as it is started in production: users, log files and a page, all in one layer.
{
  dockerTools,
  buildEnv,
  nginx,
  writeText,
  writeTextDir,
}:
let
  configuration = writeText "nginx.conf" ''
    user nobody nobody;
    daemon off;
    error_log /dev/stdout info;
    pid /dev/null;
    events { }
    http {
      access_log /dev/stdout;
      server {
        listen 80;
        location / {
          root ${writeTextDir "index.html" "<html><body><h1>Hello from nginx</h1></body></html>\n"};
        }
      }
    }
  '';
in
dockerTools.buildImage {
  name = "nginx";
  tag = "latest";

  copyToRoot = buildEnv {
    name = "image-root";
    paths = [ dockerTools.fakeNss ];
    pathsToLink = [
      "/etc"
      "/var"
    ];
  };

  # nginx wants these even where it logs to stdout: where exactly depends on how it was built.
  extraCommands = ''
    mkdir -p tmp var/log/nginx var/cache/nginx var/lib/nginx var/lock
    chmod 1777 tmp
  '';

  config = {
    Cmd = [
      "${nginx}/bin/nginx"
      "-c"
      configuration
    ];
    ExposedPorts = {
      "80/tcp" = { };
    };
  };
}
