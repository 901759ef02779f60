package dev.nosa.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.nosa.checkpoint.CheckpointException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Year;
import java.time.ZoneId;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ChatTemplateTest {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final ChatMessage SYSTEM = new ChatMessage("system", "Be brief.");
    private static final ChatMessage USER = new ChatMessage("user", " Hi! ");
    private static final ChatMessage ASSISTANT = new ChatMessage("assistant", "Hello.");
    private static final ChatMessage AGAIN = new ChatMessage("user", "Bye.");

    private static final String CHATML = """
            {% for message in messages %}
            {{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}
            {% endfor %}
            {% if add_generation_prompt %}
            {{ '<|im_start|>assistant\\n' }}
            {% endif %}
            """;

    private static final String CHATML_WITH_DEFAULT_SYSTEM = "{% for message in messages %}"
            + "{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|system|>You help.' }}{% endif %}"
            + "{{'<|' ~ message.role ~ '|>' ~ message.content}}"
            + "{% if not loop.last %}{{ '\\n' }}{% endif %}{% endfor %}";

    private static final String LLAMA3 = """
            {{- bos_token }}
            {#- A comment. #}
            {%- if custom_tools is defined %}
                {%- set tools = custom_tools %}
            {%- endif %}
            {%- if not tools is defined %}
                {%- set tools = none %}
            {%- endif %}
            {%- if not date_string is defined %}
                {%- set date_string = "26 Jul 2024" %}
            {%- endif %}

            {%- if messages[0]['role'] == 'system' %}
                {%- set system_message = messages[0]['content']|trim %}
                {%- set messages = messages[1:] %}
            {%- else %}
                {%- set system_message = "" %}
            {%- endif %}

            {{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
            {%- if tools is not none %}
                {{- "Environment: ipython\\n" }}
            {%- endif %}
            {{- "Today Date: " + date_string + "\\n\\n" }}
            {{- system_message }}
            {{- "<|eot_id|>" }}
            {%- for message in messages %}
                {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
                    {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
                {%- elif 'tool_calls' in message %}
                    {{- raise_exception("This model only supports single tool-calls at once!") }}
                {%- endif %}
            {%- endfor %}
            {%- if add_generation_prompt %}
                {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
            {%- endif %}
            """;

    private static final String MISTRAL = """
            {%- if messages[0]["role"] == "system" %}
                {%- set system_message = messages[0]["content"] %}
                {%- set loop_messages = messages[1:] %}
            {%- else %}
                {%- set loop_messages = messages %}
            {%- endif %}
            {%- set ns = namespace(index=0) %}
            {%- for message in loop_messages %}
                {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
                    {{- raise_exception("After the optional system message, roles must alternate user/assistant") }}
                {%- endif %}
                {%- set ns.index = ns.index + 1 %}
            {%- endfor %}

            {{- bos_token }}
            {%- for message in loop_messages %}
                {%- if message["role"] == "user" %}
                    {%- if loop.last and system_message is defined %}
                        {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
                    {%- else %}
                        {{- "[INST] " + message["content"] + "[/INST]" }}
                    {%- endif %}
                {%- elif message["role"] == "assistant" %}
                    {{- " " + message["content"] + eos_token }}
                {%- endif %}
            {%- endfor %}
            """;

    @TempDir
    Path dir;

    @Test
    void chatMl() throws IOException {
        assertThat(template(CHATML).render(List.of(SYSTEM, USER), true))
                .isEqualTo("<|im_start|>system\nBe brief.<|im_end|>\n\n<|im_start|>user\n Hi! <|im_end|>\n\n"
                        + "<|im_start|>assistant\n\n");
    }

    @Test
    void chatMlWithoutGenerationPrompt() throws IOException {
        assertThat(template(CHATML).render(List.of(USER), false)).isEqualTo("<|im_start|>user\n Hi! <|im_end|>\n\n");
    }

    @Test
    void defaultSystemMessage() throws IOException {
        ChatTemplate template = template(CHATML_WITH_DEFAULT_SYSTEM);

        assertThat(template.render(List.of(USER, ASSISTANT), false))
                .isEqualTo("<|system|>You help.<|user|> Hi! \n<|assistant|>Hello.");
        assertThat(template.render(List.of(SYSTEM, USER), false)).isEqualTo("<|system|>Be brief.\n<|user|> Hi! ");
    }

    @Test
    void llama3() throws IOException {
        assertThat(template(LLAMA3).render(List.of(SYSTEM, USER, ASSISTANT, AGAIN), true))
                .isEqualTo(
                        "<s><|start_header_id|>system<|end_header_id|>\n\nToday Date: 26 Jul 2024\n\nBe brief.<|eot_id|>"
                                + "<|start_header_id|>user<|end_header_id|>\n\nHi!<|eot_id|>"
                                + "<|start_header_id|>assistant<|end_header_id|>\n\nHello.<|eot_id|>"
                                + "<|start_header_id|>user<|end_header_id|>\n\nBye.<|eot_id|>"
                                + "<|start_header_id|>assistant<|end_header_id|>\n\n");
    }

    @Test
    void llama3WithoutSystemMessage() throws IOException {
        assertThat(template(LLAMA3).render(List.of(USER), false))
                .isEqualTo("<s><|start_header_id|>system<|end_header_id|>\n\nToday Date: 26 Jul 2024\n\n<|eot_id|>"
                        + "<|start_header_id|>user<|end_header_id|>\n\nHi!<|eot_id|>");
    }

    @Test
    void mistral() throws IOException {
        assertThat(template(MISTRAL).render(List.of(SYSTEM, USER, ASSISTANT, AGAIN), true))
                .isEqualTo("<s>[INST]  Hi! [/INST] Hello.</s>[INST] Be brief.\n\nBye.[/INST]");
    }

    @Test
    void raisedExceptionIsTheMessage() throws IOException {
        ChatTemplate template = template(MISTRAL);

        assertThatThrownBy(() -> template.render(List.of(USER, AGAIN), true))
                .isInstanceOf(CheckpointException.class)
                .hasMessageStartingWith(dir.resolve("tokenizer_config.json") + ": chat_template: line ")
                .hasMessageEndingWith(": After the optional system message, roles must alternate user/assistant");
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '@',
            quoteCharacter = '`',
            value = {
                "{{ messages[0].content.strip() }} @ `Hi!`",
                "{{ messages[0]['content'].strip() + '.' }} @ `Hi!.`",
                "{{ 'a,b,c'.split(',')[-1] }} @ c",
                "{{ '<think>x</think>y'.split('</think>')[-1].lstrip('\\n') }} @ y",
                "{{ 'abc'.startswith('ab') }} @ true",
                "{{ 'abc'.endswith('ab') }} @ false",
                "{{ 'abc'.replace('b', '-') }} @ a-c",
                "{{ 'abc'.upper() }} @ ABC",
                "{{ 'x' in 'xyz' and 'q' not in 'xyz' }} @ true",
                "{{ messages[0] is mapping and messages is iterable and 'a' is string }} @ true",
                "{{ nothing is defined }} @ false",
                "{{ nothing is none }} @ true",
                "{{ messages | length }} @ 1",
                "{{ messages[-1].role }} @ user",
                "{{ 7 // 2 }}{{ 7 % 2 }} @ 31",
                "{{ 'yes' if add_generation_prompt else 'no' }} @ yes",
                "{% for k, v in messages[0].items() %}{{ k }}{% endfor %} @ rolecontent",
                "{% for i in range(3) %}{{ i }}{{ loop.index }}{{ loop.index0 }}{% endfor %} @ `010121232`",
                "{% for m in (messages if true else []) %}{{ m.role }}{% endfor %} @ user",
                "{{ messages | map(attribute='role') | join(',') }} @ user",
                "{{ messages | selectattr('role', 'equalto', 'user') | list | length }} @ 1",
                "{% set x = 'a' %}{% if x == 'a' %}{% set x = 'b' %}{% endif %}{{ x }} @ b",
                "{% macro twice(s) %}{{ s }}{{ s }}{% endmacro %}{{ twice('a') }} @ aa",
                "{{ {'a': [1, 'é']} | tojson }} @ `{\"a\": [1, \"é\"]}`",
                "{{ unknown }} @ ``",
                "{% set ns = namespace(l=[]) %}{% for m in messages %}{% set ns.l = ns.l + [m.role] %}{% endfor %}{{ ns.l[0] }} @ user",
            })
    void expression(String template, String expected) throws IOException {
        assertThat(template(template).render(List.of(USER), true)).isEqualTo(expected);
    }

    @Test
    void toJsonWithIndent() throws IOException {
        assertThat(template("{{ {'a': [1]} | tojson(indent=4) }}").render(List.of(USER), true))
                .isEqualTo("{\n    \"a\": [\n        1\n    ]\n}");
    }

    @Test
    void strftimeNow() throws IOException {
        String year = Year.now(ZoneId.systemDefault()).toString();

        assertThat(template("{{ strftime_now('%Y') }}").render(List.of(USER), true))
                .isIn(year, Year.now(ZoneId.systemDefault()).toString());
    }

    /** Whitespace as Jinja2 leaves it, with trim_blocks and lstrip_blocks. */
    @ParameterizedTest
    @CsvSource(
            delimiter = '@',
            quoteCharacter = '`',
            value = {
                "`a\n  {% if true %}\nb\n  {% endif %}\n  c\n` @ `a\nb\n  c`",
                "`a {% if true %}b {% endif %} c` @ `a b  c`",
                "`{{ 'a' }} {% if true %}b{% endif %}` @ `a b`",
                "`{{ 'a' }}\n{{ 'b' }}\n\n` @ `a\nb\n`",
                "` x {{- 'a' -}} \n y` @ ` xay`",
                "`x\n  {%+ if true %}y{% endif +%}\nz` @ `x\n  y\nz`",
                "`x\n  {# no #}\ny {# no #} z` @ `x\ny  z`",
                "`x {#- no -#} \n z` @ `xz`",
                "`  {% if true %}\n\n{% endif %}a` @ `\na`",
                "`{{ '}}' }}{{ \"%}\" }}{{ '\\'' }}` @ `}}%}'`",
                "`{% raw %}{{ x }} {%- y %}{% endraw %}` @ `{{ x }} {%- y %}`",
                "`a\r\n{% if true %}\r\nb{% endif %}` @ `a\nb`",
            })
    void whitespace(String template, String expected) throws IOException {
        assertThat(template(template).render(List.of(USER), true)).isEqualTo(expected);
    }

    @Test
    void jinjaInAMessageIsText() throws IOException {
        ChatMessage message = new ChatMessage("user", "{{ 1 + 1 }} {% if true %}{# gone? #}");

        assertThat(template("{{ messages[0].content }}").render(List.of(message), true))
                .isEqualTo("{{ 1 + 1 }} {% if true %}{# gone? #}");
    }

    @Test
    void messagesKeepTheirCharacters() throws IOException {
        ChatMessage message = new ChatMessage("user", "<b>&amp;</b> \"é\" 😀\\n \r\n\t");

        assertThat(template("{{ messages[0].content }}").render(List.of(message), true))
                .isEqualTo(message.content());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{% include 'tokenizer_config.json' %}",
                "{% include '/etc/passwd' %}",
                "{% import '/etc/passwd' as x %}{{ x }}",
                "{% from '/etc/passwd' import x %}",
                "{% extends '/etc/passwd' %}",
                "{{ ''.getClass().forName('java.lang.Runtime') }}",
                "{{ messages.getClass() }}",
                "{{ messages[0].toMap().getClass() }}",
                "{{ 'a'.repeat(1000000000) }}",
                "{{ 'a'.getBytes() }}",
                "{{ messages.stream().map('x') }}",
                "{{ ____int3rpr3t3r____.render('x') }}",
                "{{ ____int3rpr3t3r____.getContext() }}",
                "{{ '{{ 1 }}'|render }}",
                "{{ 'x'|no_such_filter }}",
                "{{ 'x' is no_such_test }}",
                "{% for m in messages if m.role == 'user' %}{% endfor %}",
                "{{ 'x",
                "{# x",
                "{{ no_such_function() }}",
                "{% no_such_tag %}",
                "{{ 1 + }}",
                "{{ messages[::-1] }}",
                "{% for x in messages %}",
                "{% if true %}",
            })
    void templateThatIsRefused(String text) throws IOException {
        assertThatThrownBy(() -> template(text).render(List.of(USER), true))
                .isInstanceOf(CheckpointException.class)
                .hasMessageMatching("\\Q" + dir.resolve("tokenizer_config.json")
                        + ": chat_template: \\E(line \\d+: |there is no (filter|test) '|'\\w+' is disabled)(?s:.)+");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{{ ____int3rpr3t3r____.config }}",
                "{{ ____int3rpr3t3r____.context.parent }}",
                "{{ ''.class }}",
                "{{ ''['class'] }}",
                "{{ ''.class.forName('java.lang.Runtime') }}",
                "{{ messages.class.classLoader }}",
            })
    void internalsAreNotThere(String text) throws IOException {
        assertThat(template("[" + text + "]").render(List.of(USER), true)).isIn("[]", "[null]");
    }

    @Test
    void outputHasALimit() throws IOException {
        ChatTemplate template = template("{% for i in range(100) %}{{ messages[0].content }}{% endfor %}");
        ChatMessage message = new ChatMessage("user", "x".repeat(1 << 20));

        assertThatThrownBy(() -> template.render(List.of(message), true))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("67108864");
    }

    @Test
    void templateFileComesFirst() throws IOException {
        writeConfig("from the config");
        Files.writeString(dir.resolve("chat_template.jinja"), "{{ bos_token }}from the file\n");

        assertThat(ChatTemplate.load(dir).orElseThrow().render(List.of(USER), true))
                .isEqualTo("<s>from the file");
    }

    @Test
    void templateFileAlone() throws IOException {
        Files.writeString(dir.resolve("chat_template.jinja"), "[{{ bos_token }}]");

        assertThat(ChatTemplate.load(dir).orElseThrow().render(List.of(USER), true))
                .isEqualTo("[]");
    }

    @Test
    void defaultOfNamedTemplates() throws IOException {
        writeJson("{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"t\"},"
                + "{\"name\":\"default\",\"template\":\"d\"}]}");

        assertThat(ChatTemplate.load(dir).orElseThrow().render(List.of(USER), true))
                .isEqualTo("d");
    }

    @Test
    void namedTemplatesWithoutADefault() throws IOException {
        writeJson("{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"t\"}]}");

        assertThatThrownBy(() -> ChatTemplate.load(dir))
                .isInstanceOf(CheckpointException.class)
                .hasMessageContaining("tokenizer_config.json: chat_template must be a string, or a list");
    }

    @Test
    void specialTokenThatIsAnObject() throws IOException {
        writeJson("{\"chat_template\":\"{{ bos_token }}{{ eos_token }}\",\"bos_token\":{\"content\":\"<b>\"},"
                + "\"eos_token\":null}");

        assertThat(ChatTemplate.load(dir).orElseThrow().render(List.of(USER), true))
                .isEqualTo("<b>");
    }

    @Test
    void noTemplate() throws IOException {
        assertThat(ChatTemplate.load(dir)).isEmpty();
        writeJson("{\"bos_token\":\"<s>\"}");
        assertThat(ChatTemplate.load(dir)).isEmpty();
    }

    @Test
    void tenThreadsRenderTheSame() throws Exception {
        ChatTemplate template = template(MISTRAL);
        ExecutorService threads = Executors.newFixedThreadPool(10);
        try {
            List<Future<String>> prompts = new ArrayList<>();
            for (int i = 0; i < 200; i++) {
                ChatMessage message = new ChatMessage("user", "question " + i);
                prompts.add(threads.submit(() -> template.render(List.of(message), true)));
            }
            for (int i = 0; i < prompts.size(); i++) {
                assertThat(prompts.get(i).get()).isEqualTo("<s>[INST] question " + i + "[/INST]");
            }
        } finally {
            threads.shutdown();
        }
    }

    private ChatTemplate template(String text) throws IOException {
        writeConfig(text);
        return ChatTemplate.load(dir).orElseThrow();
    }

    private void writeConfig(String template) throws IOException {
        ObjectNode config = JSON.createObjectNode().put("bos_token", "<s>").put("eos_token", "</s>");
        writeJson(config.put("chat_template", template).toString());
    }

    private void writeJson(String json) throws IOException {
        Files.writeString(dir.resolve("tokenizer_config.json"), json);
    }
}
