#!/bin/sh
# Attaches the filter to a service or to a route of a Kong that has a database, by its Admin API; Kong 3.5 to 3.10.
#
#   ./admin-api.sh service books        all routes of a service
#   ./admin-api.sh route orders         one route
#   ./admin-api.sh remove route orders  takes it off again
#
# filter-chain.json says how the filter is configured; done again, it is configured anew. ADMIN is the Admin API's address.
set -eu
cd "$(dirname "$0")"
admin=${ADMIN:-http://127.0.0.1:8001}

# Kong's answer is shown whatever it is: a refusal names the setting.
call() {
    method=$1
    path=$2
    shift 2
    answer=$(curl --silent --show-error --request "$method" --write-out '\n%{http_code}' "$@" "$admin$path")
    code=${answer##*
}
    printf '%s\n' "${answer%
*}"
    case $code in
    2*) ;;
    *)
        echo "$method $path: $code" >&2
        exit 1
        ;;
    esac
}

remove=
if [ "${1:-}" = remove ]; then
    remove=yes
    shift
fi
case ${1:-} in
service | route) ;;
*)
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
[ $# -eq 2 ] || { echo "which $1? ./admin-api.sh $1 NAME" >&2; exit 2; }
chain=/filter-chains/silhouette-$1-$2
if [ "$remove" ]; then
    call DELETE "$chain"
else
    # The configuration, and what it is attached to.
    body=$(sed "1s/{/{ \"$1\": { \"name\": \"$2\" },/" filter-chain.json)
    call PUT "$chain" --header 'content-type: application/json' --data "$body"
fi
