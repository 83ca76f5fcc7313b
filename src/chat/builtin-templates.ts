/**
 * The conversation formats of the LLaVA family, as Jinja, for model files that carry no template.
 *
 * Token for token those of `llava/conversation.py` (haotian-liu/LLaVA, LLaVA-VL/LLaVA-NeXT): single spaces in
 * `vicuna_v1`, no space after `</s>`, no newline after `<|im_end|>` in `chatml_direct`.
 * Pictures are already in the content, as a marker and a newline before the text.
 */
export const BUILTIN_TEMPLATES: Readonly<Record<string, string>> = {
  /** LLaVA 1.5, LLaVA 1.6 on Vicuna, BakLLaVA, ShareGPT4V. */
  vicuna_v1: [
    "{%- set ns = namespace(system='A chat between a curious user and an artificial intelligence assistant. ",
    "The assistant gives helpful, detailed, and polite answers to the user\\'s questions.') -%}",
    "{%- for message in messages -%}",
    "{%- if message['role'] == 'system' -%}{%- set ns.system = message['content'] -%}{%- endif -%}",
    "{%- endfor -%}",
    "{%- if ns.system -%}{{ ns.system + ' ' }}{%- endif -%}",
    "{%- for message in messages -%}",
    "{%- if message['role'] == 'user' -%}{{ 'USER: ' + message['content'] + ' ' }}",
    "{%- elif message['role'] == 'assistant' -%}{{ 'ASSISTANT: ' + message['content'] + '</s>' }}{%- endif -%}",
    "{%- endfor -%}",
    "{%- if add_generation_prompt -%}{{ 'ASSISTANT:' }}{%- endif -%}",
  ].join(""),

  /** LLaVA 1.6 on Mistral-7B-Instruct. A system text goes in front of the first question. */
  mistral_instruct: [
    "{%- set ns = namespace(system='') -%}",
    "{%- for message in messages -%}",
    "{%- if message['role'] == 'system' -%}{%- set ns.system = message['content'] + '\\n\\n' -%}",
    "{%- elif message['role'] == 'user' -%}",
    "{{ '[INST] ' + ns.system + message['content'] + ' [/INST]' }}{%- set ns.system = '' -%}",
    "{%- else -%}{{ ' ' + message['content'] + ' </s>' }}{%- endif -%}",
    "{%- endfor -%}",
  ].join(""),

  /** LLaVA 1.6 on Nous-Hermes-2-Yi-34B. */
  chatml_direct: [
    "{%- if messages[0]['role'] != 'system' -%}{{ '<|im_start|>system\\nAnswer the questions.<|im_end|>' }}{%- endif -%}",
    "{%- for message in messages -%}",
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' }}",
    "{%- endfor -%}",
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}",
  ].join(""),

  /** LLaVA on Llama 3. */
  llava_llama_3: [
    "{%- if messages[0]['role'] != 'system' -%}",
    "{{ '<|start_header_id|>system<|end_header_id|>\\n\\nYou are a helpful language and vision assistant. ",
    "You are able to understand the visual content that the user provides, ",
    "and assist the user with a variety of tasks using natural language.<|eot_id|>' }}",
    "{%- endif -%}",
    "{%- for message in messages -%}",
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] + '<|eot_id|>' }}",
    "{%- endfor -%}",
    "{%- if add_generation_prompt -%}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif -%}",
  ].join(""),

  /** No roles at all: the contents as they are. Base models, and LLaVA's stage-1 captioning. */
  plain: "{%- for message in messages -%}{{ message['content'] }}{%- endfor -%}",
};
