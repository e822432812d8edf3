# One layer per store path of hello's closure, and one of links to hello's files.
{ dockerTools, hello }:
dockerTools.streamLayeredImage {
  name = "hello";
  contents = [ hello ];
}
