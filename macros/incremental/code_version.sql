{% macro code_version() -%}
    {#- Hash of the model's code and of that of every model before it, and of the variables that they
        name. A model reads more than its own lines: what a staging model does otherwise changes what
        all after it hold. When a build takes place (as_of) is no code. -#}
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
    {%- set read = known.items() | sort | map(attribute=1) | list -%}
    {%- set code = ([model.raw_code] + read) | join('\n') -%}
    {%- set variables = [] -%}
    {%- for name in modules.re.findall("var\\(['\"](\\w+)['\"]", code) | unique | sort -%}
        {%- if name != 'as_of' -%}
            {%- do variables.append(name ~ '=' ~ var(name)) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(local_md5(([code] + variables) | join('\n'))) }}
{%- endmacro %}
