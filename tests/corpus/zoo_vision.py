"""Networks on images and video, of torchvision and timm."""

import torch

from zoo import Call, add, image


def of_torchvision(name, family, inputs, module="", **keywords):
    def make():
        import torchvision

        models = torchvision.models
        for part in filter(None, module.split(".")):
            models = getattr(models, part)
        return getattr(models, name)(weights=None, **keywords), inputs()

    add(name, family, "torchvision", make)


for name, size in (
    ("alexnet", 96),
    ("vgg11_bn", 64),
    ("resnet18", 64),
    ("resnext50_32x4d", 64),
    ("densenet121", 64),
    ("squeezenet1_1", 96),
    ("shufflenet_v2_x0_5", 64),
    ("mnasnet0_5", 64),
    ("mobilenet_v2", 64),
    ("mobilenet_v3_small", 64),
    ("efficientnet_b0", 64),
    ("regnet_y_400mf", 64),
    ("convnext_tiny", 64),
):
    of_torchvision(name, "classification", lambda size=size: (image(size),), num_classes=50)
for name, size in (("googlenet", 64), ("inception_v3", 96)):
    of_torchvision(
        name,
        "classification",
        lambda size=size: (image(size),),
        num_classes=50,
        aux_logits=False,
        init_weights=False,
    )
of_torchvision("swin_t", "windows of attention", lambda: (image(64),), num_classes=50)
of_torchvision("swin_v2_t", "windows of attention", lambda: (image(64),), num_classes=50)


def maxvit():
    from torchvision.models import MaxVit

    blocks = dict(block_channels=[32, 64], block_layers=[1, 1], head_dim=16)
    model = MaxVit(
        (56, 56), 16, partition_size=7, stochastic_depth_prob=0.0, num_classes=50, **blocks
    )
    return model, (image(56),)


def vision_transformer():
    from torchvision.models import VisionTransformer

    return VisionTransformer(48, 16, 2, 4, 64, 128, num_classes=50), (image(48),)


add("maxvit", "windows of attention", "torchvision", maxvit)
add("vit", "transformers of images", "torchvision", vision_transformer)

for name in ("fcn_resnet50", "deeplabv3_mobilenet_v3_large", "lraspp_mobilenet_v3_large"):

    def make(name=name):
        from torchvision.models import segmentation

        model = getattr(segmentation, name)(weights=None, weights_backbone=None, num_classes=7)
        return Call(model, lambda model, x: model(x)["out"]), (image(64, 96),)

    add(name, "segmentation", "torchvision", make)


def anchored(name, size):
    """A detector up to its boxes: backbone, heads, anchors, decoding; the host suppresses."""

    def boxes(model, x):
        from torchvision.models.detection.image_list import ImageList

        features = list(model.backbone(x).values())
        heads = model.head(features)
        anchors = model.anchor_generator(ImageList(x, [tuple(x.shape[-2:])]), features)[0]
        scores = heads["cls_logits"]
        if "bbox_ctrness" in heads:
            found = model.box_coder.decode(heads["bbox_regression"][0], anchors)
            return found, torch.sqrt(scores.sigmoid() * heads["bbox_ctrness"].sigmoid())
        return model.box_coder.decode_single(heads["bbox_regression"][0], anchors), scores.softmax(
            -1
        )

    def make():
        from torchvision.models import detection

        keywords = dict(weights=None, weights_backbone=None, num_classes=5)
        return Call(getattr(detection, name)(**keywords), boxes), (image(size),)

    add(name, "detection with its anchors", "torchvision", make)


for name, size in (
    ("ssdlite320_mobilenet_v3_large", 320),
    ("ssd300_vgg16", 300),
    ("retinanet_resnet50_fpn_v2", 64),
    ("fcos_resnet50_fpn", 64),
):
    anchored(name, size)


def proposals():
    """The first stage of Faster R-CNN, before proposals are filtered."""

    def stage(model, x):
        from torchvision.models.detection.image_list import ImageList

        features = list(model.backbone(x).values())
        objectness, deltas = model.rpn.head(features)
        anchors = model.rpn.anchor_generator(ImageList(x, [tuple(x.shape[-2:])]), features)
        return (*objectness, *deltas, anchors[0])

    from torchvision.models import detection

    model = detection.fasterrcnn_mobilenet_v3_large_fpn(weights=None, weights_backbone=None)
    return Call(model, stage), (image(96),)


add("fasterrcnn_mobilenet proposals", "detection with its anchors", "torchvision", proposals)


def clip_of(frames, size):
    return lambda: (torch.randn(1, 3, frames, size, size),)


for name in ("r3d_18", "mc3_18", "r2plus1d_18"):
    of_torchvision(name, "video", clip_of(4, 32), "video", num_classes=11)
of_torchvision("swin3d_t", "video", clip_of(4, 32), "video", num_classes=11)
of_torchvision(
    "raft_small",
    "optical flow",
    lambda: (image(128).clamp(-1, 1), image(128).clamp(-1, 1)),
    "optical_flow",
)


def of_timm(name, family, size, **keywords):
    def make():
        import timm

        return timm.create_model(name, pretrained=False, num_classes=50, **keywords), (image(size),)

    add(name, family, "timm", make)


for name, size in (
    ("mobilenetv4_conv_small", 64),
    ("mobilenetv5_base", 64),
    ("ghostnet_050", 64),
    ("ghostnetv2_100", 64),
    ("repvgg_a0", 64),
    ("mobileone_s0", 64),
    ("repghostnet_050", 64),
    ("lcnet_050", 64),
    ("tinynet_e", 64),
    ("hardcorenas_a", 64),
    ("res2net50_14w_8s", 64),
    ("hrnet_w18_small", 64),
    ("dla34", 64),
    ("darknet53", 64),
    ("cspresnet50", 64),
    ("ese_vovnet19b_dw", 64),
    ("xception41", 64),
    ("skresnet18", 64),
    ("seresnet18", 64),
    ("resnest14d", 64),
    ("rexnet_100", 64),
    ("dpn48b", 64),
    ("selecsls42", 64),
    ("eca_nfnet_l0", 64),
    ("resnetv2_50", 64),
    ("hgnetv2_b0", 64),
    ("starnet_s1", 64),
    ("inception_next_tiny", 64),
    ("convnextv2_atto", 64),
    ("convmixer_768_32", 64),
    ("repvit_m1", 64),
    ("ecaresnet50t", 64),
    ("gcresnet33ts", 64),
):
    of_timm(name, "classification", size)
for name, size in (
    ("mobilevit_xxs", 64),
    ("mobilevitv2_050", 64),
    ("edgenext_xx_small", 64),
    ("efficientformerv2_s0", 224),
    ("fastvit_t8", 64),
    ("poolformer_s12", 64),
    ("pvt_v2_b0", 64),
    ("efficientvit_b0", 64),
    ("tiny_vit_5m_224", 224),
    ("swiftformer_xs", 64),
    ("davit_tiny", 64),
    ("focalnet_tiny_srf", 64),
    ("levit_128s", 224),
    ("mambaout_femto", 64),
    ("lambda_resnet26t", 64),
    ("botnet26t_256", 256),
):
    of_timm(name, "convolutions and attention", size)
for name, size, keywords in (
    ("mixer_s32_224", 64, {"img_size": 64}),
    ("resmlp_12_224", 64, {"img_size": 64}),
    ("gmlp_ti16_224", 64, {"img_size": 64}),
    ("cait_xxs24_224", 64, {"img_size": 64}),
    ("deit3_small_patch16_224", 64, {"img_size": 64, "depth": 3}),
    ("beitv2_base_patch16_224", 64, {"img_size": 64, "depth": 2}),
    ("eva02_tiny_patch14_224", 56, {"img_size": 56, "depth": 3}),
    ("xcit_nano_12_p16_224", 64, {"img_size": 64}),
    ("hiera_tiny_224", 224, {}),
    ("naflexvit_base_patch16_gap", 64, {"depth": 2}),
    ("nest_tiny", 224, {}),
    ("twins_svt_small", 64, {}),
    ("volo_d1_224", 64, {"img_size": 64}),
):
    of_timm(name, "transformers of images", size, **keywords)
