# The attribute set that replaces `pkgs.dockerTools`.
{
  pkgs ? import <nixpkgs> { },
}:
import ./nix { inherit pkgs; }
