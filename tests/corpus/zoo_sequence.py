"""Networks on text, speech and mixed inputs, of transformers, with tiny configurations."""

import torch

from zoo import Call, add, image, tokens


def of_transformers(name, family, model, config, inputs, picks=None, **keywords):
    """`picks(model, *inputs)` calls it; without it the model is called and gives its tensors."""

    def make():
        import transformers

        made = getattr(transformers, config)(**keywords)
        net = getattr(transformers, model)._from_config(made, attn_implementation="eager")
        call = picks or (lambda net, *given: net(*given, return_dict=False)[0])
        return Call(net, call), inputs()

    add(name, family, "transformers", make)


SMALL = dict(vocab_size=97, hidden_size=32, num_hidden_layers=2, num_attention_heads=4)
ENCODER = SMALL | dict(intermediate_size=64, max_position_embeddings=64)
DECODER = ENCODER | dict(num_key_value_heads=2, use_cache=False, pad_token_id=0)


def with_mask(count=13):
    def make():
        mask = torch.ones(1, count, dtype=torch.int64)
        mask[:, count - 3 :] = 0
        return tokens(count), mask

    return make


for kind, more in (
    ("Bert", {}),
    ("Roberta", {"pad_token_id": 1}),
    ("Electra", {"embedding_size": 24}),
    ("MPNet", {}),
    ("RoFormer", {}),
    ("MegatronBert", {}),
    ("Albert", {"embedding_size": 24}),
    ("ConvBert", {"embedding_size": 24}),
    (
        "DebertaV2",
        {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "type_vocab_size": 0},
    ),
):
    of_transformers(
        kind.lower(),
        "text encoders",
        f"{kind}Model",
        f"{kind}Config",
        with_mask(),
        **ENCODER | more,
    )
of_transformers(
    "distilbert",
    "text encoders",
    "DistilBertModel",
    "DistilBertConfig",
    with_mask(),
    vocab_size=97,
    dim=32,
    n_layers=2,
    n_heads=4,
    hidden_dim=64,
)
of_transformers(
    "mobilebert",
    "text encoders",
    "MobileBertModel",
    "MobileBertConfig",
    with_mask(),
    embedding_size=16,
    intra_bottleneck_size=16,
    true_hidden_size=16,
    **ENCODER,
)
of_transformers(
    "squeezebert",
    "text encoders",
    "SqueezeBertModel",
    "SqueezeBertConfig",
    with_mask(),
    embedding_size=32,
    **ENCODER,
)
of_transformers(
    "fnet",
    "text encoders",
    "FNetModel",
    "FNetConfig",
    lambda: (tokens(16),),
    vocab_size=97,
    hidden_size=32,
    num_hidden_layers=2,
    intermediate_size=64,
    max_position_embeddings=64,
)
of_transformers(
    "modernbert",
    "text encoders",
    "ModernBertModel",
    "ModernBertConfig",
    with_mask(),
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
    cls_token_id=1,
    sep_token_id=2,
    **ENCODER,
)
of_transformers(
    "t5 encoder",
    "text encoders",
    "T5EncoderModel",
    "T5Config",
    with_mask(),
    vocab_size=97,
    d_model=32,
    d_kv=8,
    d_ff=64,
    num_layers=2,
    num_heads=4,
)
of_transformers(
    "t5",
    "translation",
    "T5ForConditionalGeneration",
    "T5Config",
    lambda: (tokens(11), tokens(5)),
    lambda net, x, y: net(input_ids=x, decoder_input_ids=y, use_cache=False).logits,
    vocab_size=97,
    d_model=32,
    d_kv=8,
    d_ff=64,
    num_layers=2,
    num_heads=4,
)
for kind in ("Bart", "Marian", "MBart", "Pegasus"):
    of_transformers(
        kind.lower(),
        "translation",
        f"{kind}Model",
        f"{kind}Config",
        lambda: (tokens(11), tokens(5)),
        lambda net, x, y: net(input_ids=x, decoder_input_ids=y, use_cache=False).last_hidden_state,
        vocab_size=97,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=64,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=2,
        forced_eos_token_id=2,
    )

for kind, more in (
    ("Llama", {}),
    ("Mistral", {"sliding_window": 8}),
    ("Qwen2", {}),
    ("Qwen3", {"head_dim": 8}),
    ("Gemma", {"head_dim": 8}),
    ("Gemma2", {"head_dim": 8, "sliding_window": 8}),
    ("Gemma3Text", {"head_dim": 8, "sliding_window": 8}),
    ("Phi", {}),
    ("Phi3", {"rope_parameters": None}),
    ("StableLm", {}),
    ("Olmo2", {}),
    ("SmolLM3", {}),
    ("Cohere", {}),
    ("Granite", {}),
    ("GPTNeoX", {}),
):
    config = f"{kind}TextConfig" if kind == "Gemma3" else f"{kind}Config"
    model = "Gemma3ForCausalLM" if kind == "Gemma3Text" else f"{kind}ForCausalLM"
    config = "Gemma3TextConfig" if kind == "Gemma3Text" else config
    of_transformers(
        kind.lower(),
        "language models",
        model,
        config,
        lambda: (tokens(12),),
        lambda net, x: net(input_ids=x, use_cache=False).logits,
        **{k: v for k, v in (DECODER | more).items() if v is not None},
    )
for kind, keywords in (
    ("GPT2", dict(vocab_size=97, n_positions=64, n_embd=32, n_layer=2, n_head=4)),
    ("OPT", ENCODER | dict(ffn_dim=64, word_embed_proj_dim=32, pad_token_id=1)),
    ("Bloom", dict(vocab_size=97, hidden_size=32, n_layer=2, n_head=4)),
    ("Mamba", dict(vocab_size=97, hidden_size=32, num_hidden_layers=2, state_size=4)),
):
    model = "GPT2LMHeadModel" if kind == "GPT2" else f"{kind}ForCausalLM"
    of_transformers(
        kind.lower(),
        "language models",
        model,
        f"{kind}Config",
        lambda: (tokens(12),),
        lambda net, x: net(input_ids=x, use_cache=False).logits,
        **keywords,
    )


def speech(count):
    return lambda: (torch.randn(1, count) * 0.3,)


WAVE = dict(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=64,
    conv_dim=(16, 16, 16),
    conv_stride=(5, 2, 2),
    conv_kernel=(10, 3, 3),
    vocab_size=29,
    num_feat_extract_layers=3,
    num_conv_pos_embeddings=16,
    num_conv_pos_embedding_groups=4,
)
for kind, more in (
    ("Wav2Vec2", {}),
    ("Hubert", {}),
    ("WavLM", {}),
    ("SEW", {"squeeze_factor": 2}),
    ("UniSpeech", {}),
    ("Data2VecAudio", {}),
):
    of_transformers(
        kind.lower(), "speech", f"{kind}Model", f"{kind}Config", speech(2000), **WAVE | more
    )
WHISPER = dict(
    vocab_size=97,
    d_model=32,
    encoder_layers=2,
    decoder_layers=2,
    encoder_attention_heads=4,
    decoder_attention_heads=4,
    encoder_ffn_dim=64,
    decoder_ffn_dim=64,
    num_mel_bins=20,
    max_source_positions=30,
    max_target_positions=20,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
    decoder_start_token_id=1,
    suppress_tokens=None,
    begin_suppress_tokens=None,
)
of_transformers(
    "whisper",
    "speech",
    "WhisperModel",
    "WhisperConfig",
    lambda: (torch.randn(1, 20, 60), tokens(7)),
    lambda net, x, y: net(input_features=x, decoder_input_ids=y, use_cache=False).last_hidden_state,
    **WHISPER,
)
of_transformers(
    "audio spectrogram transformer",
    "speech",
    "ASTModel",
    "ASTConfig",
    lambda: (torch.randn(1, 64, 32),),
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=64,
    patch_size=8,
    frequency_stride=8,
    time_stride=8,
    max_length=64,
    num_mel_bins=32,
)
of_transformers(
    "hifi-gan vocoder",
    "speech",
    "SpeechT5HifiGan",
    "SpeechT5HifiGanConfig",
    lambda: (torch.randn(1, 20, 16),),
    lambda net, x: net(x),
    model_in_dim=16,
    upsample_initial_channel=32,
    upsample_rates=[4, 4],
    upsample_kernel_sizes=[8, 8],
)

PATCHES = dict(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=64,
    image_size=64,
    patch_size=16,
)
of_transformers(
    "yolos",
    "detection",
    "YolosForObjectDetection",
    "YolosConfig",
    lambda: (image(64, 64),),
    lambda net, x: (lambda y: (y.logits, y.pred_boxes))(net(x)),
    **PATCHES | dict(image_size=[64, 64], num_detection_tokens=9),
)
of_transformers(
    "segformer",
    "segmentation",
    "SegformerForSemanticSegmentation",
    "SegformerConfig",
    lambda: (image(64),),
    lambda net, x: net(x).logits,
    depths=[1, 1, 1, 1],
    hidden_sizes=[16, 32, 48, 64],
    decoder_hidden_size=32,
    num_attention_heads=[1, 2, 3, 4],
)
of_transformers(
    "dpt",
    "depth",
    "DPTForDepthEstimation",
    "DPTConfig",
    lambda: (image(64),),
    lambda net, x: net(x).predicted_depth,
    **PATCHES | dict(num_hidden_layers=4),
    backbone_out_indices=[0, 1, 2, 3],
    neck_hidden_sizes=[16, 16, 32, 32],
    fusion_hidden_size=16,
    is_hybrid=False,
)
of_transformers(
    "glpn",
    "depth",
    "GLPNForDepthEstimation",
    "GLPNConfig",
    lambda: (image(64),),
    lambda net, x: net(x).predicted_depth,
    depths=[1, 1, 1, 1],
    hidden_sizes=[16, 32, 48, 64],
    decoder_hidden_size=16,
    num_attention_heads=[1, 2, 3, 4],
)
of_transformers(
    "swin2sr",
    "super-resolution",
    "Swin2SRForImageSuperResolution",
    "Swin2SRConfig",
    lambda: (image(16),),
    lambda net, x: net(x).reconstruction,
    image_size=16,
    embed_dim=12,
    depths=[2, 2],
    num_heads=[2, 2],
    window_size=8,
    upscale=2,
    upsampler="pixelshuffle",
)
TEXT = ENCODER | dict(projection_dim=16, eos_token_id=2, bos_token_id=1, pad_token_id=0)
VISION = PATCHES | dict(projection_dim=16)
for kind in ("CLIP", "Siglip"):
    of_transformers(
        f"{kind.lower()} images",
        "images and text",
        f"{kind}VisionModel",
        f"{kind}VisionConfig",
        lambda: (image(64),),
        lambda net, x: net(x).last_hidden_state,
        **VISION,
    )
    of_transformers(
        f"{kind.lower()} text",
        "images and text",
        f"{kind}TextModel",
        f"{kind}TextConfig",
        lambda: (tokens(9),),
        lambda net, x: net(x).last_hidden_state,
        **TEXT,
    )
of_transformers(
    "videomae",
    "video",
    "VideoMAEModel",
    "VideoMAEConfig",
    lambda: (torch.randn(1, 4, 3, 32, 32),),
    **PATCHES | dict(image_size=32, num_frames=4),
)
of_transformers(
    "timesformer",
    "video",
    "TimesformerModel",
    "TimesformerConfig",
    lambda: (torch.randn(1, 4, 3, 32, 32),),
    **PATCHES | dict(image_size=32, num_frames=4),
)
of_transformers(
    "vilt",
    "images and text",
    "ViltModel",
    "ViltConfig",
    lambda: (tokens(7), image(64)),
    lambda net, x, y: net(input_ids=x, pixel_values=y).pooler_output,
    **ENCODER,
    image_size=64,
    patch_size=16,
)
of_transformers(
    "superpoint",
    "keypoints",
    "SuperPointForKeypointDetection",
    "SuperPointConfig",
    lambda: (image(64),),
    lambda net, x: net.encoder(x[:, :1]).last_hidden_state,
)
of_transformers(
    "detr decoder",
    "detection",
    "DetrModel",
    "DetrConfig",
    lambda: (image(64),),
    lambda net, x: net(x).last_hidden_state,
    use_timm_backbone=True,
    backbone="resnet18",
    use_pretrained_backbone=False,
    backbone_config=None,
    d_model=32,
    encoder_layers=1,
    decoder_layers=1,
    encoder_attention_heads=4,
    decoder_attention_heads=4,
    encoder_ffn_dim=64,
    decoder_ffn_dim=64,
    num_queries=9,
)
