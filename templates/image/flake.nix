{
  description = "A container image";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.11";
    # Where you have Longshore from.
    longshore.url = "path:/path/to/longshore";
    longshore.inputs.nixpkgs.follows = "nixpkgs";
  };

  outputs =
    { nixpkgs, longshore, ... }:
    let
      system = "x86_64-linux";
      pkgs = nixpkgs.legacyPackages.${system}.extend longshore.overlays.default;
    in
    {
      # nix build && ./result | docker load
      packages.${system}.default = pkgs.dockerTools.streamLayeredImage {
        name = "my-image";
        tag = "latest";
        contents = [
          pkgs.hello
          pkgs.dockerTools.binSh
        ];
        config.Cmd = [ "/bin/hello" ];
      };
    };
}
