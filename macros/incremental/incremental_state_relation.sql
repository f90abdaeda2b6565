{% macro incremental_state_relation() -%}
    {#- What version of each key the model holds. One table a model: two models never write the
        same table at the same time. -#}
    {{ return(api.Relation.create(
        database=this.database, schema='incremental_state', identifier=this.identifier
    )) }}
{%- endmacro %}
