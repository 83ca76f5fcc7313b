export type TemplateName =
  | "qwen"
  | "jsonArguments"
  | "llama"
  | "mistral"
  | "forgetful"
  | "mistralArgs"
  | "granite"
  | "qwenThinking"
  | "alwaysThinks"
  | "harmony";

/** Chat templates as models carry them, shortened to what matters: tools, calls, results, thoughts. */
export const TEMPLATES: Readonly<Record<TemplateName, string>> = {
  qwen: [
    "{%- if tools %}<|im_start|>system\n",
    "{%- if messages[0]['role'] == 'system' %}{{- messages[0]['content'] }}{%- else %}{{- 'You are helpful.' }}{%- endif %}",
    '{{- "\\n\\n# Tools\\n\\n<tools>" }}{%- for tool in tools %}{{- "\\n" }}{{- tool | tojson }}{%- endfor %}',
    '{{- "\\n</tools>\\n\\nReturn <tool_call>\\n{\\"name\\": <function-name>, \\"arguments\\": <args-json-object>}\\n</tool_call><|im_end|>\\n" }}',
    "{%- elif messages[0]['role'] == 'system' %}{{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}{%- endif %}",
    "{%- for message in messages %}",
    '{%- if message.role == "user" or (message.role == "assistant" and not message.tool_calls) %}',
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}",
    '{%- elif message.role == "assistant" %}{{- "<|im_start|>assistant" }}',
    "{%- if message.content %}{{- '\\n' + message.content }}{%- endif %}",
    "{%- for tool_call in message.tool_calls %}{%- if tool_call.function is defined %}{%- set tool_call = tool_call.function %}{%- endif %}",
    '{{- \'\\n<tool_call>\\n{"name": "\' }}{{- tool_call.name }}{{- \'", "arguments": \' }}{{- tool_call.arguments | tojson }}{{- "}\\n</tool_call>" }}{%- endfor %}',
    "{{- '<|im_end|>\\n' }}",
    '{%- elif message.role == "tool" %}',
    '{%- if loop.index0 == 0 or messages[loop.index0 - 1].role != "tool" %}{{- "<|im_start|>user" }}{%- endif %}',
    '{{- "\\n<tool_response>\\n" }}{{- message.content }}{{- "\\n</tool_response>" }}',
    '{%- if loop.last or messages[loop.index0 + 1].role != "tool" %}{{- "<|im_end|>\\n" }}{%- endif %}',
    "{%- endif %}{%- endfor %}",
    '{%- if add_generation_prompt %}{{- "<|im_start|>assistant\\n" }}{%- endif %}',
  ].join(""),

  /** Arguments as JSON text, pasted as they stand. */
  jsonArguments: [
    "{%- if tools %}TOOLS {{ tools | tojson }}\n{% endif %}",
    "{%- for m in messages %}{{ m.role }}: {{ m.content }}",
    "{%- for c in m.tool_calls or [] %}<tool_call>{{ '{\"name\": \"' + c.function.name + '\", \"arguments\": ' + c.function.arguments + '}' }}</tool_call>{% endfor %}\n",
    "{% endfor %}",
  ].join(""),

  llama: [
    "{%- set first_user_message = messages[0]['content'] %}",
    "{{- bos_token }}",
    "{%- if tools is defined and tools is not none %}",
    '{{- \'Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.\\n\' }}',
    "{%- for t in tools %}{{- t | tojson(indent=4) }}{{- '\\n' }}{%- endfor %}{%- endif %}",
    "{%- for message in messages %}",
    "{%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}",
    "{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' }}",
    "{%- elif 'tool_calls' in message %}",
    "{%- if not message.tool_calls|length == 1 %}{{- raise_exception('This model only supports single tool-calls at once!') }}{%- endif %}",
    "{%- set tool_call = message.tool_calls[0].function %}",
    "{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}",
    "{{- '{\"name\": \"' + tool_call.name + '\", ' }}{{- '\"parameters\": ' }}{{- tool_call.arguments | tojson }}{{- '}' }}{{- '<|eot_id|>' }}",
    "{%- else %}{{- '<|start_header_id|>ipython<|end_header_id|>\\n\\n' + message.content + '<|eot_id|>' }}",
    "{%- endif %}{%- endfor %}",
    "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}",
  ].join(""),

  mistral: [
    '{%- set user_messages = messages | selectattr("role", "equalto", "user") | list %}{{- bos_token }}',
    "{%- for message in messages %}",
    "{%- if message['role'] == 'user' %}",
    "{%- if tools and (message == user_messages[-1]) %}{{- '[AVAILABLE_TOOLS] ' + (tools | tojson) + '[/AVAILABLE_TOOLS]' }}{%- endif %}",
    "{{- '[INST] ' + message['content'] + '[/INST]' }}",
    "{%- elif message.tool_calls is defined %}{{- '[TOOL_CALLS] [' }}",
    "{%- for tool_call in message.tool_calls %}",
    "{%- if tool_call.id is not defined or tool_call.id|length != 9 %}{{- raise_exception('Tool call IDs should be alphanumeric strings with length 9!') }}{%- endif %}",
    "{%- set out = tool_call.function | tojson %}{{- out[:-1] + ', \"id\": \"' + tool_call.id + '\"}' }}",
    "{%- if not loop.last %}{{- ', ' }}{%- else %}{{- ']' + eos_token }}{%- endif %}{%- endfor %}",
    "{%- elif message['role'] == 'assistant' %}{{- ' ' + message['content'] + eos_token }}",
    "{%- elif message['role'] == 'tool' %}{{- '[TOOL_RESULTS] {\"content\": ' + message.content|string + ', \"call_id\": \"' + message.tool_call_id + '\"}[/TOOL_RESULTS]' }}",
    "{%- endif %}{%- endfor %}",
  ].join(""),

  /** Prints tools only while the question is the last message. */
  forgetful: [
    "{%- for m in messages %}{%- if loop.last and m.role == 'user' and tools %}[AVAILABLE_TOOLS]{{ tools | tojson }}{% endif %}",
    "[{{ m.role }}]{{ m.content }}{% if m.tool_calls %}[TOOL_CALLS]{{ m.tool_calls | tojson }}{% endif %}{% endfor %}",
  ].join(""),

  mistralArgs: [
    "{%- if tools %}[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}",
    "{%- for m in messages %}{%- if m.role == 'user' %}[INST]{{ m.content }}[/INST]",
    "{%- elif m.role == 'assistant' %}{{ m.content }}{%- for c in m.tool_calls or [] %}[TOOL_CALLS]{{ c.function.name }}[ARGS]{{ c.function.arguments | tojson }}{% endfor %}",
    "{%- elif m.role == 'tool' %}[TOOL_RESULTS]{{ m.content }}[/TOOL_RESULTS]{%- endif %}{% endfor %}",
  ].join(""),

  granite: [
    "{%- if tools %}<|start_of_role|>available_tools<|end_of_role|>{{ tools | tojson }}<|end_of_text|>{% endif %}",
    "{%- for m in messages %}<|start_of_role|>{{ m.role }}<|end_of_role|>{{ m.content }}",
    "{%- if m.tool_calls %}<|tool_call|>[{% for c in m.tool_calls %}{{ c.function | tojson }}{% endfor %}]{% endif %}<|end_of_text|>",
    "{% endfor %}{%- if add_generation_prompt %}<|start_of_role|>assistant<|end_of_role|>{% endif %}",
  ].join(""),

  qwenThinking: [
    "{%- if tools %}<|im_start|>system\n{{ tools | tojson }}",
    '\n<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call><|im_end|>\n{% endif %}',
    "{%- for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}",
    "{%- if m.reasoning_content %}<think>\n{{ m.reasoning_content }}\n</think>\n\n{% endif %}{{ m.content }}",
    '{%- for c in m.tool_calls or [] %}\n<tool_call>\n{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}\n</tool_call>{% endfor %}<|im_end|>\n',
    "{% endfor %}",
    "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}",
    "{%- if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}",
  ].join(""),

  /** Opens a thought whatever it is told. */
  alwaysThinks: [
    "{%- for m in messages %}<|{{ m.role }}|>{{ m.content.split('</think>')[-1] }}{% endfor %}",
    "{%- if add_generation_prompt %}<|assistant|><think>\n{% endif %}",
  ].join(""),

  harmony: [
    "{%- if reasoning_effort is defined %}Reasoning: {{ reasoning_effort }}\n{% endif %}",
    "{%- if tools %}{{ tools | tojson }}{% endif %}",
    "{%- for m in messages %}{%- if m.role == 'assistant' and m.tool_calls %}",
    "<|start|>assistant<|channel|>commentary to=functions.{{ m.tool_calls[0].function.name }} <|constrain|>json<|message|>{{ m.tool_calls[0].function.arguments | tojson }}<|call|>",
    "{%- else %}<|start|>{{ m.name or m.role }}<|channel|>final<|message|>{{ m.content }}<|end|>{%- endif %}{% endfor %}",
    "{%- if add_generation_prompt %}<|start|>assistant{% endif %}",
  ].join(""),
};
