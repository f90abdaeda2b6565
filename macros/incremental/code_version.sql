{% macro code_version() -%}
    {#- Hash of the model's code and of that of every model before it. A model reads more than its own
        lines: what a staging model does otherwise changes what all after it hold. So does another
        value of a variable that one of them reads, by its name in the code. -#}
    {%- set known = {} -%}
    {%- set waiting = model.depends_on.nodes | list -%}
    {%- for _ in range(graph.nodes | length + graph.sources | length) -%}
        {%- if waiting -%}
            {%- set name = waiting.pop() -%}
            {%- set node = graph.nodes.get(name, {}) -%}
            {%- do known.update({name: node.get('raw_code', '')}) -%}
            {%- for before in node.get('depends_on', {}).get('nodes', []) -%}
                {%- if before not in known and before not in waiting -%}
                    {%- do waiting.append(before) -%}
                {%- endif -%}
            {%- endfor -%}
        {%- endif -%}
    {%- endfor -%}
    {%- set read = [model.raw_code] + (known.items() | sort | map(attribute=1) | list) -%}
    {%- for name in modules.re.findall("\\bvar\\(\\s*['\"](\\w+)['\"]", read | join('\n')) | unique | sort -%}
        {%- do read.append(name ~ '=' ~ var(name)) -%}
    {%- endfor -%}
    {{ return(local_md5(read | join('\n'))) }}
{%- endmacro %}
