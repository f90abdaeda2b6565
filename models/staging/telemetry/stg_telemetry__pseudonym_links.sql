with

source as (
    select * from {{ source('lake', 'pseudonym_links') }}
),

-- a load writes a link for whom it meets for the first time: one user may have many alike
renamed as (
    select
        pseudonym,
        min(stable_pseudonym) as stable_pseudonym
    from source
    group by pseudonym
)

select * from renamed
