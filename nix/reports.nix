# The report of an image: a page about its layers and store paths, by itself in one file.
{ build }:
# report :: { name, where, plan } -> derivation
{
  name,
  where,
  plan,
}:
build.derivation {
  name = "${name}-report.html";
  builder = "image_report";
  arguments = {
    inherit where;
    plan = "${plan}";
  };
}
