# caCertificates: trusted root certificates, at the places where the programs of
# several distributions look for them.
{ cacert, runCommand }:
runCommand "ca-certificates" { } ''
  mkdir -p $out/etc/ssl/certs $out/etc/pki/tls/certs
  bundle=${cacert}/etc/ssl/certs/ca-bundle.crt
  ln -s $bundle $out/etc/ssl/certs/ca-bundle.crt
  ln -s $bundle $out/etc/ssl/certs/ca-certificates.crt
  ln -s $bundle $out/etc/pki/tls/certs/ca-bundle.crt
''
