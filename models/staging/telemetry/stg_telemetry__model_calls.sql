{%- set aliases = attribute_aliases('attribute') %}
with

records as (
    select * from {{ ref('stg_telemetry__records') }}
),

renamed as (
    select
        record_key,
        event_id,
        event_name,
        event_date,
        occurred_at,
        user_id as pseudonym,
        trace_id,
        span_id,
        span_name,
        parent_span_id,
        record_kind != 'span' as is_logged,
        case
            when record_kind = 'span' then duration_ms
            when {{ attribute(aliases, 'duration_ms', 'double') }} >= 0
                then {{ attribute(aliases, 'duration_ms', 'double') }}
        end as duration_ms,
        case
            when record_kind = 'span' then status
            when event_name = 'assistant.model.call.failed' then 'error'
            when {{ attribute(aliases, 'success') }} = 'false' then 'error'
            when {{ attribute(aliases, 'success') }} = 'true' then 'ok'
            else 'unset'
        end as status,
        case
            when event_name = 'assistant.tool.call' then 'execute_tool'
            when record_kind != 'span' then 'chat'
            else {{ attribute(aliases, 'gen_ai.operation.name') }}
        end as operation,
        {{ attribute(aliases, 'gen_ai.agent.name') }} as agent_name,
        {{ attribute(aliases, 'gen_ai.request.model') }} as model,
        {{ attribute(aliases, 'gen_ai.provider.name') }} as provider,
        {{ attribute(aliases, 'gen_ai.conversation.id') }} as conversation_id,
        {{ attribute(aliases, 'gen_ai.tool.name') }} as tool_name,
        {{ attribute(aliases, 'gen_ai.usage.input_tokens', 'bigint') }} as input_tokens,
        {{ attribute(aliases, 'gen_ai.usage.output_tokens', 'bigint') }} as output_tokens,
        {{ attribute(aliases, 'cost_usd', 'double') }} as cost_usd,
        coalesce(
            {{ attribute(aliases, 'error.type') }},
            case
                when event_name = 'assistant.model.call.failed'
                    then {{ attribute(aliases, 'http.response.status_code') }}
            end
        ) as error_type
    from records
    where
        (
            record_kind = 'span'
            and event_name in (
                'gen_ai.invoke_agent',
                'gen_ai.chat',
                'gen_ai.text_completion',
                'gen_ai.generate_content',
                'gen_ai.execute_tool'
            )
        )
        or (
            record_kind != 'span'
            and event_name in (
                'assistant.model.call',
                'assistant.model.call.failed',
                'assistant.tool.call'
            )
        )
)

select * from renamed
