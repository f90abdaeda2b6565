{% macro touched_relation() -%}
    {#- The keys that the running build of the model replaces. -#}
    {{ return(api.Relation.create(
        database=this.database, schema='incremental_state', identifier=this.identifier ~ '__touched'
    )) }}
{%- endmacro %}
