"""Writes a checkpoint directory in the layout of a Qwen3.5 repository.

  python3 export.py run/base.pt     ../base     --single
  python3 export.py run/finetune.pt ../finetune --no-mtp

--single writes one model.safetensors, otherwise two shards with an index.
--no-mtp leaves the 15 mtp.* tensors out (the config still announces the head).
"""
import argparse
import json
import os

import st
import tok as tokmod
import train

HERE = os.path.dirname(os.path.abspath(__file__))
F32_NAMES = ("linear_attn.A_log", "linear_attn.norm.weight")    # kept F32 (values are BF16-representable)


def hf_name(n):
    return n if n.startswith(("mtp.", "lm_head.")) else "model.language_model." + n


def own_name(n):
    return n[len("model.language_model."):] if n.startswith("model.language_model.") else n


def config(c, tok, vision=None):
    text = {
        "attention_bias": False, "attention_dropout": 0.0, "attn_output_gate": True, "dtype": "bfloat16",
        "eos_token_id": tok.added["<|endoftext|>"], "full_attention_interval": c.full_attention_interval,
        "head_dim": c.head_dim, "hidden_act": "silu", "hidden_size": c.hidden_size, "initializer_range": 0.02,
        "intermediate_size": c.intermediate_size,
        "layer_types": ["full_attention" if c.is_full(i) else "linear_attention" for i in range(c.num_hidden_layers)],
        "linear_conv_kernel_dim": c.linear_conv_kernel_dim, "linear_key_head_dim": c.linear_key_head_dim,
        "linear_num_key_heads": c.linear_num_key_heads, "linear_num_value_heads": c.linear_num_value_heads,
        "linear_value_head_dim": c.linear_value_head_dim, "mamba_ssm_dtype": "float32",
        "max_position_embeddings": c.max_position_embeddings, "mlp_only_layers": [], "model_type": "qwen3_5_text",
        "mtp_num_hidden_layers": 1, "mtp_use_dedicated_embeddings": False,
        "num_attention_heads": c.num_attention_heads, "num_hidden_layers": c.num_hidden_layers,
        "num_key_value_heads": c.num_key_value_heads, "rms_norm_eps": c.rms_norm_eps,
        "rope_parameters": {"mrope_interleaved": True, "mrope_section": list(c.mrope_section),
                            "partial_rotary_factor": c.partial_rotary_factor, "rope_theta": int(c.rope_theta),
                            "rope_type": "default"},
        "tie_word_embeddings": False, "use_cache": True, "vocab_size": c.vocab_size}
    out = {"architectures": ["Qwen3_5ForConditionalGeneration"], "image_token_id": tok.added["<|image_pad|>"],
           "model_type": "qwen3_5", "text_config": text, "tie_word_embeddings": False,
           "transformers_version": "4.57.0.dev0", "video_token_id": tok.added["<|video_pad|>"]}
    if vision:
        out["vision_config"] = vision
    out["vision_end_token_id"] = tok.added["<|vision_end|>"]
    out["vision_start_token_id"] = tok.added["<|vision_start|>"]
    return out


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("ckpt")
    ap.add_argument("out")
    ap.add_argument("--single", action="store_true")
    ap.add_argument("--no-mtp", action="store_true")
    ap.add_argument("--vision-seed", type=int, help="add a vision tower with seeded random weights")
    a = ap.parse_args()
    m = train.load(a.ckpt)
    tok = tokmod.load(os.path.join(HERE, "merges.txt"))
    assert tok.size <= m.c.vocab_size
    os.makedirs(a.out, exist_ok=True)
    for f in os.listdir(a.out):
        if f.endswith(".safetensors") or f.endswith(".index.json"):
            os.remove(os.path.join(a.out, f))
    ts, vis = [], None
    for n, x in m.state_dict().items():
        if n.startswith("mtp.") and a.no_mtp:
            continue
        f32 = a.single and n.endswith(F32_NAMES)
        if f32:
            x = x.bfloat16().float()
        ts.append((hf_name(n), x, "F32" if f32 else "BF16"))
    if a.vision_seed is not None:
        import vision
        vis = vision.config(m.c.hidden_size)
        ts += [("model.visual." + n, x, "BF16") for n, x in vision.random_weights(vis, a.vision_seed).items()]
    ts.sort(key=lambda t: t[0])
    if a.single:
        st.write(os.path.join(a.out, "model.safetensors"), ts)
    else:
        total = sum(x.numel() * (2 if d == "BF16" else 4) for _, x, d in ts)
        cut, run = 0, 0
        while run < total / 2:
            run += ts[cut][1].numel() * (2 if ts[cut][2] == "BF16" else 4)
            cut += 1
        wm = {}
        for k, part in enumerate((ts[:cut], ts[cut:])):
            f = f"model-{k + 1:05d}-of-00002.safetensors"
            st.write(os.path.join(a.out, f), part)
            wm.update({n: f for n, _, _ in part})
        tokmod.dump({"metadata": {"total_size": total}, "weight_map": dict(sorted(wm.items()))},
                    os.path.join(a.out, "model.safetensors.index.json"))
    tokmod.dump(config(m.c, tok, vis), os.path.join(a.out, "config.json"), indent=4)
    if vis:
        tokmod.dump({"size": {"longest_edge": 1048576, "shortest_edge": 8192}, "patch_size": 16, "temporal_patch_size": 2,
                     "merge_size": 2, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
                     "processor_class": "Qwen3VLProcessor", "image_processor_type": "Qwen2VLImageProcessorFast"},
                    os.path.join(a.out, "preprocessor_config.json"))
    tokmod.dump({"bos_token_id": tok.added["<|endoftext|>"], "do_sample": True,
                 "eos_token_id": [tok.added["<|im_end|>"], tok.added["<|endoftext|>"]],
                 "pad_token_id": tok.added["<|endoftext|>"], "temperature": 0.6, "top_k": 20, "top_p": 0.95,
                 "transformers_version": "4.57.0.dev0"}, os.path.join(a.out, "generation_config.json"), indent=4)
    tok.save(a.out, open(os.path.join(HERE, "..", "chat_template.jinja"), encoding="utf-8").read(), merges_as_lists=a.single)
    print(a.out, len(ts), "tensors")


if __name__ == "__main__":
    main()
