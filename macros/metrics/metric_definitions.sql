{% macro metric_definitions() -%}
    {#- Every metric with `config.meta.experiment`, resolved from the semantic layer to SQL: a list of
        {name, kind, better, options, parts}, where each part is one scan: {model, time, numerator,
        denominator, filter}. Raises a compiler error that names the metric and what is wrong. -#}
    {%- set definitions = [] -%}
    {%- set measures = {} -%}
    {%- for semantic_model in graph.semantic_models.values() -%}
        {%- for measure in semantic_model.measures -%}
            {%- do measures.update({measure.name: {'measure': measure, 'model': semantic_model}}) -%}
        {%- endfor -%}
    {%- endfor -%}
    {%- set metrics = {} -%}
    {%- for metric in graph.metrics.values() -%}
        {%- do metrics.update({metric.name: metric}) -%}
    {%- endfor -%}
    {%- for name in metrics.keys() | sort -%}
        {%- set metric = metrics[name] -%}
        {%- set options = metric.config.meta.get('experiment') or metric.meta.get('experiment') -%}
        {%- if options -%}
            {%- set parts = [] -%}
            {%- if metric.type == 'simple' -%}
                {%- do parts.append(metric_part(metric, measures, 'both', [])) -%}
            {%- elif metric.type == 'ratio' -%}
                {%- for role in ['numerator', 'denominator'] -%}
                    {%- set input = metric.type_params[role] -%}
                    {%- if input.name not in metrics -%}
                        {%- do raise_metric_error(name, 'its ' ~ role ~ ' names the unknown metric ' ~ input.name) -%}
                    {%- endif -%}
                    {%- set filters = filter_templates(metric.filter) + filter_templates(input.filter) -%}
                    {%- do parts.append(metric_part(metrics[input.name], measures, role, filters)) -%}
                {%- endfor -%}
            {%- else -%}
                {%- do raise_metric_error(name, 'metrics of type ' ~ metric.type ~ ' cannot be used in scorecards; use simple or ratio') -%}
            {%- endif -%}
            {%- do check_metric_kind(name, options, parts) -%}
            {%- do definitions.append({
                'name': name, 'kind': options.kind, 'better': options.get('better', 'up'),
                'options': options, 'parts': parts,
            }) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return(definitions) }}
{%- endmacro %}

{% macro check_metric_kind(name, options, parts) -%}
    {%- set kinds = ['mean', 'proportion', 'ratio', 'retention', 'quantile', 'funnel'] -%}
    {%- if options.kind not in kinds -%}
        {%- do raise_metric_error(name, 'its kind is ' ~ options.kind ~ '; use ' ~ kinds | join(', ')) -%}
    {%- endif -%}
    {%- do check_metric_options(name, options, kinds) -%}
    {%- set percentiles = parts | map(attribute='percentile') | select('number') | list -%}
    {%- if options.kind == 'quantile' and percentiles != [options.get('quantile')] -%}
        {%- do raise_metric_error(name, 'a quantile needs config.meta.experiment.quantile between 0 and 1 '
            ~ 'and a measure that aggregates by the same percentile (continuous)') -%}
    {%- elif options.kind != 'quantile' and percentiles -%}
        {%- do raise_metric_error(name, 'percentiles do not add up over days; use kind quantile') -%}
    {%- endif -%}
    {%- if options.kind == 'funnel' and options.get('steps', []) | length not in range(2, 6) -%}
        {%- do raise_metric_error(name, 'a funnel needs config.meta.experiment.steps, two to five event names') -%}
    {%- endif -%}
{%- endmacro %}

{% macro check_metric_options(name, options, kinds) -%}
    {#- orchestration/lib/declarations.py says the same before a build. -#}
    {%- set where = 'config.meta.experiment.' -%}
    {%- set kinds_of = {
        'kind': kinds, 'better': kinds, 'window_days': kinds, 'delay_days': kinds,
        'covariate_days': ['mean', 'proportion', 'ratio', 'retention'],
        'cap_quantile': ['mean', 'ratio'], 'quantile': ['quantile'], 'steps': ['funnel'],
    } -%}
    {%- for option, value in options.items() -%}
        {%- set is_number = value is number and value is not boolean -%}
        {%- if option not in kinds_of -%}
            {%- do raise_metric_error(name, where ~ option ~ ' is unknown; there are ' ~ kinds_of | join(', ')) -%}
        {%- elif options.kind not in kinds_of[option] -%}
            {%- do raise_metric_error(name, where ~ option ~ ' is of no use to kind ' ~ options.kind
                ~ '; leave it out, or use kind ' ~ kinds_of[option] | join(' or ')) -%}
        {%- elif option == 'better' and value not in ['up', 'down'] -%}
            {%- do raise_metric_error(name, where ~ 'better is ' ~ value ~ '; use up or down') -%}
        {%- elif option in ['cap_quantile', 'quantile'] and not (is_number and 0 < value < 1) -%}
            {%- do raise_metric_error(name, where ~ option ~ ' is ' ~ value
                ~ '; use a share between 0 and 1, such as 0.99') -%}
        {%- elif option in ['window_days', 'covariate_days'] and not (is_number and value > 0) -%}
            {%- do raise_metric_error(name, where ~ option ~ ' is ' ~ value
                ~ '; use a number of days above 0, or leave it out') -%}
        {%- elif option == 'delay_days' and not (is_number and value >= 0) -%}
            {%- do raise_metric_error(name, where ~ 'delay_days is ' ~ value
                ~ '; use a number of days, 0 or more') -%}
        {%- endif -%}
    {%- endfor -%}
    {%- if options.kind == 'retention' and 'window_days' not in options -%}
        {%- do raise_metric_error(name, 'retention needs ' ~ where
            ~ 'window_days: the days in which a unit must come back') -%}
    {%- endif -%}
{%- endmacro %}

{% macro raise_metric_error(name, problem) -%}
    {%- do exceptions.raise_compiler_error(
        "Metric '" ~ name ~ "': " ~ problem ~ ". Correct its YAML (metrics/*.yml in the declarations)."
    ) -%}
{%- endmacro %}

{% macro filter_templates(filter) -%}
    {%- set templates = [] -%}
    {%- if filter -%}
        {%- for each in filter.where_filters -%}
            {%- do templates.append(each.where_sql_template) -%}
        {%- endfor -%}
    {%- endif -%}
    {{ return(templates) }}
{%- endmacro %}

{% macro metric_part(metric, measures, role, filters) -%}
    {%- set input = metric.type_params.measure -%}
    {%- if metric.type != 'simple' or not input -%}
        {%- do raise_metric_error(metric.name, 'a part of a ratio must be a simple metric on a measure') -%}
    {%- endif -%}
    {%- if input.name not in measures -%}
        {%- do raise_metric_error(metric.name, 'it names the unknown measure ' ~ input.name) -%}
    {%- endif -%}
    {%- set measure = measures[input.name].measure -%}
    {%- set semantic_model = measures[input.name].model -%}
    {%- set expression = '(' ~ (measure.expr or measure.name) ~ ')' -%}
    {%- set amounts = {
        'sum': expression,
        'count': 'case when ' ~ expression ~ ' is not null then 1e0 end',
        'sum_boolean': 'case when ' ~ expression ~ ' then 1e0 else 0e0 end',
        'average': expression,
        'percentile': expression,
        'median': expression,
    } -%}
    {%- if measure.agg not in amounts -%}
        {%- do raise_metric_error(metric.name, 'measure ' ~ measure.name ~ ' aggregates by '
            ~ measure.agg ~ ', which does not add up over days; use sum, count, sum_boolean, average or percentile') -%}
    {%- endif -%}
    {%- if measure.agg == 'average' and role != 'both' -%}
        {%- do raise_metric_error(metric.name, 'an average cannot be part of a ratio') -%}
    {%- endif -%}
    {%- set amount = 'cast(' ~ amounts[measure.agg] ~ ' as double)' -%}
    {%- set nothing = 'cast(null as double)' -%}
    {%- set count = 'cast(case when ' ~ expression ~ ' is not null then 1e0 end as double)' -%}
    {%- set time_name = measure.agg_time_dimension or semantic_model.defaults.agg_time_dimension -%}
    {%- set dimensions = {} -%}
    {%- for dimension in semantic_model.dimensions -%}
        {%- do dimensions.update({dimension.name: dimension.expr or dimension.name}) -%}
    {%- endfor -%}
    {%- set templates = filters + filter_templates(metric.filter) + filter_templates(input.filter) -%}
    {%- set predicates = [] -%}
    {%- for template in templates -%}
        {%- do predicates.append('(' ~ resolved_filter(metric.name, template, dimensions) ~ ')') -%}
    {%- endfor -%}
    {%- set percentile = {
        'percentile': (measure.agg_params or {}).percentile, 'median': 0.5
    }.get(measure.agg) -%}
    {{ return({
        'percentile': percentile,
        'model': semantic_model.node_relation.alias,
        'time': dimensions[time_name],
        'numerator': nothing if role == 'denominator' else amount,
        'denominator': amount if role == 'denominator' else (count if measure.agg == 'average' else nothing),
        'filter': predicates | join(' and ') if predicates else 'true',
    }) }}
{%- endmacro %}

{% macro resolved_filter(metric_name, template, dimensions) -%}
    {#- Replaces Dimension('entity__name') by the dimension's expression. -#}
    {%- set resolved = namespace(text=template) -%}
    {%- for found in modules.re.findall("[{]{2}[ ]*Dimension[(][ ]*['\"][^'\"]+['\"][ ]*[)][ ]*[}]{2}", template) -%}
        {%- set name = modules.re.findall("['\"]([^'\"]+)['\"]", found)[0].split('__')[-1] -%}
        {%- if name not in dimensions -%}
            {%- do raise_metric_error(metric_name, 'its filter names the unknown dimension ' ~ name) -%}
        {%- endif -%}
        {%- set resolved.text = resolved.text.replace(found, '(' ~ dimensions[name] ~ ')') -%}
    {%- endfor -%}
    {%- if '{{' in resolved.text -%}
        {%- do raise_metric_error(metric_name, 'its filter can use Dimension(...) only: ' ~ template) -%}
    {%- endif -%}
    {{ return(resolved.text) }}
{%- endmacro %}

{% macro metric_definitions_text() -%}
    {{ return(tojson(metric_definitions()) if execute else '') }}
{%- endmacro %}
