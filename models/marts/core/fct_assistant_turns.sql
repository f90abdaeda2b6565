{{ overwrite_by('int_event_date_versions', 'event_date') }}
with

turns as (
    select * from {{ ref('int_turns_assembled') }}
    where has_measurement_consent and {{ is_touched('event_date') }}
),

model_prices as (
    select * from {{ ref('stg_declarations__model_prices') }}
)

select
    turns.turn_id,
    turns.event_date,
    turns.occurred_at,
    turns.user_id,
    turns.session_id,
    turns.organization_id,
    turns.unit_id,
    turns.trace_id,
    turns.conversation_id,
    turns.agent_name,
    turns.model,
    turns.provider,
    turns.duration_ms,
    turns.has_error,
    turns.error_type,
    turns.model_call_count,
    turns.input_tokens,
    turns.output_tokens,
    -- what the emitter reckons knows of caches and discounts, the declared prices do not
    coalesce(
        turns.cost_usd,
        (
            turns.input_tokens * model_prices.input_usd_per_million_tokens
            + turns.output_tokens * model_prices.output_usd_per_million_tokens
        ) / 1e6
    ) as cost_usd
from turns
left join model_prices
    on turns.model = model_prices.model
