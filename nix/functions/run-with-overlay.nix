# runWithOverlay: refused, since its scripts are for a virtual machine that there is none of.
{ messages }:
args:
throw "${messages.inCall "runWithOverlay" args}: its scripts mount file systems in a virtual machine, and there is none here; give buildImage the commands as runAsRoot, or take the file system of an image from exportImage"
