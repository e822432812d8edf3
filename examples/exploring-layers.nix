# One layer per store path of hello's closure, and one of links to hello's files.
{ streamLayeredImage, hello }:
streamLayeredImage {
  name = "hello";
  contents = [ hello ];
}
