"""Networks that read images, as torchvision and timm define them."""

from __future__ import annotations

from functools import partial
from typing import Any

import timm
import torch
import torchvision
from torch import nn

from tests.models.definitions import BATCH, Built, Export, Picture, image, real

TORCHVISION = {
    "alexnet": 224,
    "convnext_tiny": 224,
    "densenet121": 224,
    "efficientnet_b0": 224,
    "efficientnet_v2_s": 224,
    "inception_v3": 299,
    "maxvit_t": 224,
    "mnasnet1_0": 224,
    "mobilenet_v3_large": 224,
    "regnet_x_400mf": 224,
    "regnet_y_400mf": 224,
    "resnext50_32x4d": 224,
    "shufflenet_v2_x1_0": 224,
    "squeezenet1_0": 224,
    "swin_t": 224,
    "swin_v2_t": 224,
    "vgg16_bn": 224,
    "wide_resnet50_2": 224,
}
"""Names and the side of the images they were made for."""

TIMM = {
    "beit_base_patch16_224": 224,
    "coat_tiny": 224,
    "convmixer_768_32": 224,
    "deit_tiny_distilled_patch16_224": 224,
    "gmlp_s16_224": 224,
    "hrnet_w18_small": 224,
    "levit_128": 224,
    "mixer_b16_224": 224,
    "mobilevit_s": 256,
    "nfnet_f0": 192,
    "poolformer_s12": 224,
    "resnest14d": 224,
    "xcit_tiny_12_p16_224": 224,
}

SEGMENTATION = ("deeplabv3_resnet50", "fcn_resnet50")


def made(name: str, **options: Any) -> nn.Module:
    return real(partial(getattr(torchvision.models, name), **options))


def googlenet() -> nn.Module:
    return made("googlenet", aux_logits=False)


def segmentation(name: str) -> Built:
    build = partial(getattr(torchvision.models.segmentation, name), weights_backbone=None)
    return Picture(real(build), "out"), {"x": torch.zeros(2, 3, 256, 256)}, {"x": BATCH}


def timm_image(name: str, size: int) -> Built:
    return image(partial(real, partial(timm.create_model, name)), size)


EXPORTS = (
    Export(name="resnet50", task="vision", build=partial(image, torchvision.models.resnet50)),
    Export(name="mobilenet_v2", task="vision", build=partial(image, torchvision.models.mobilenet_v2)),
    Export(name="vit_base_patch16_224", task="vision", build=partial(timm_image, "vit_base_patch16_224", 224)),
    *(
        Export(name=name, task="vision", build=partial(image, partial(made, name), size))
        for name, size in TORCHVISION.items()
    ),
    Export(name="googlenet", task="vision", build=partial(image, googlenet)),
    *(Export(name=name, task="vision", build=partial(segmentation, name)) for name in SEGMENTATION),
    *(Export(name=name, task="vision", build=partial(timm_image, name, size)) for name, size in TIMM.items()),
)
