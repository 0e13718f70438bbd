"""The lineage of a network of timm by its name, under the names that the suite's families have."""

from __future__ import annotations

import re

_LINEAGES = (
    # the first one that the name contains; what holds another's name stands before it
    ("NextViT", "nextvit"),
    ("ConvNeXt", "convnext|convmixer|inception_next"),
    ("Inception", "inception"),
    ("MobileViT", "mobilevit"),
    ("EfficientViT", "efficientvit"),
    ("EfficientFormer", "efficientformer"),
    ("FastViT", "fastvit|^vit_.*_mci"),
    ("TinyViT", "tiny_vit"),
    ("GCViT", "gcvit"),
    ("SHViT", "shvit"),
    ("ConViT", "convit"),
    ("CrossViT", "crossvit"),
    ("DaViT", "davit|florence"),
    ("MaxViT", "maxvit|maxxvit"),
    ("CoAtNet", "coatnet|coatnext"),
    ("CoaT", "^coat_"),
    ("LeViT", "levit"),
    ("MViT", "mvitv2|hiera"),
    ("ViTamin", "vitamin"),
    ("Swin", "swin|nest_|^nest"),
    ("MetaFormer", "caformer|convformer|poolformer"),
    ("SwiftFormer", "swiftformer"),
    ("CaiT", "cait"),
    ("XCiT", "xcit"),
    ("VOLO", "volo"),
    ("PiT", "^pit_"),
    ("Twins", "twins"),
    ("PVT", "pvt"),
    ("TNT", "^tnt"),
    ("Visformer", "visformer"),
    ("RepVGG", "repvgg|repvit|mobileone|fasternet"),
    ("ViT", "vit_|^vit|_vit|beit|deit|eva|aimv2|samvit|naflexvit|flexivit"),
    ("MLP-Mixer", "mixer|gmlp|resmlp"),
    ("Sequencer", "sequencer"),
    ("FocalNet", "focalnet"),
    ("MambaOut", "mambaout"),
    ("EdgeNeXt", "edgenext"),
    ("HaloNet", "halo|botnet|botnext|lambda"),
    ("GhostNet", "ghostnet"),
    ("StarNet", "starnet"),
    ("MobileNet", "mobilenet|mnasnet|lcnet|fbnet|hardcorenas|spnasnet"),
    ("NFNet", "nfnet"),
    ("RegNet", "regnet|gernet"),
    ("CSPNet", "darknet|csp|cs3"),
    ("DenseNet", "densenet|rdnet"),
    ("DLA", "dla"),
    ("DPN", "dpn"),
    ("HGNet", "hgnet"),
    ("HRNet", "hrnet"),
    ("VoVNet", "vovnet|selecsls"),
    ("NASNet", "nasnet"),
    ("VGG", "vgg"),
    ("Xception", "xception"),
    ("EfficientNet", "efficientnet|mixnet|rexnet|tinynet"),
    ("ResNet", "res|senet|byobnet"),
)


def lineage_of(network: str) -> str:
    """Return the family that timm's ``network`` belongs to; its first word where no family is known."""
    return next((name for name, pattern in _LINEAGES if re.search(pattern, network)), network.split("_")[0])
