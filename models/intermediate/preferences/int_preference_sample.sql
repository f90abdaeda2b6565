{#- In what order users are taken where a report needs enough of them rather than all: by hash, so that
    who is taken depends on nobody else's behaviour. -#}
select
    user_id,
    row_number() over (order by md5(user_id) asc, user_id asc) as position
from {{ ref('int_users_personalizable') }}
