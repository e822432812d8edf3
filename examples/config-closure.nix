# A program that only `config` names: its closure is in the image all the same.
{
  streamLayeredImage,
  hello,
  lib,
}:
streamLayeredImage {
  name = "hello";
  tag = "latest";
  config.Cmd = [ "${lib.getExe hello}" ];
}
