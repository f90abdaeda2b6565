-- Fails if a file's records are not all accounted for, once each.
select
    file_name,
    records_in,
    accepted,
    duplicate,
    rejected,
    suppressed
from {{ ref('rpt_telemetry_ledger') }}
where records_in != accepted + duplicate + rejected + suppressed
