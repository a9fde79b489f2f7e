# What the rule costs: microseconds of Tcl per exchange, beside rules that put the same exchange into JSON, in one run.
#
#     tclsh f5-irule/bench/cost.tcl ?ROUNDS? ?--json?
#
# In: the real silhouette.tcl. Out: a table, or one JSON object for `cargo xtask bench f5`. The commands of TMOS are plain
# procedures here that answer at once, the same for every rule, so what is measured is the rules' own Tcl; base64 is C, as it
# is in TMM, and signing, which the other rules do not do, costs nothing here. It tells nothing of a BIG-IP's speed: only
# which of the rules does more.

set here [file dirname [file normalize [info script]]]
set rounds 4000
set json 0
foreach argument $argv {
    if {$argument eq "--json"} {
        set json 1
    } elseif {[string is integer -strict $argument] && $argument > 0} {
        set rounds $argument
    } else {
        puts stderr "`$argument` is not accepted: give a number of rounds, or --json"
        exit 2
    }
}

# An exchange of 4.7 KB, in the commands by which a rule sees it.
set request_lines {
    {Host shop.example.com} {User-Agent {Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36}} {Accept {application/json, text/plain, */*}}
    {Accept-Encoding {gzip, deflate, br}} {Accept-Language {en-GB,en;q=0.9}} {Content-Type application/json} {Content-Length 1400}
    {Origin https://shop.example.com} {Referer https://shop.example.com/checkout?step=2} {X-Request-Id 7f3c2a9e-41d2-4a55-9d0c-5b8e3f6a1c20}
    {Authorization {Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U}}
    {Cookie {session=8c1d2f; theme=dark; consent=yes}}
}
set response_lines {
    {Date {Mon, 23 Nov 2026 09:00:00 GMT}} {Content-Type {application/json; charset=utf-8}} {Content-Length 2048} {Cache-Control no-store}
    {Vary Accept-Encoding} {X-Request-Id 7f3c2a9e-41d2-4a55-9d0c-5b8e3f6a1c20} {X-RateLimit-Limit 1000} {X-RateLimit-Remaining 997}
    {Strict-Transport-Security {max-age=31536000}} {Set-Cookie {session=8c1d2f; Path=/; HttpOnly; Secure}}
}
set item "{\"sku\":\"A-1029\",\"name\":\"A book \\\"with\\\" quotes\",\"price\":12.5,\"quantity\":2},"
set request_body [string range "\[[string repeat $item 40]" 0 1399]
set response_body [string range "\[[string repeat $item 60]" 0 2047]
set request_head "POST /api/v2/orders/1029/items?page=2&sort=price HTTP/1.1\r\n"
foreach line $request_lines {
    append request_head "[lindex $line 0]: [lindex $line 1]\r\n"
}
append request_head "\r\n"

# The message the HTTP:: commands speak of: names of its headers, their values by name in lower case, its body in bytes.
foreach which {request response} {
    set names {}
    set values {}
    foreach line [set ${which}_lines] {
        lappend names [lindex $line 0]
        dict set values [string tolower [lindex $line 0]] [lindex $line 1]
    }
    set messages($which) [list $names $values [binary format a* [set ${which}_body]]]
}
proc speak_of {which} {
    lassign $::messages($which) ::names ::values ::body
}
set sent 0
set bytes 0

namespace eval HTTP {
    proc request {} { return $::request_head }
    proc method {} { return POST }
    proc uri {} { return /api/v2/orders/1029/items?page=2&sort=price }
    proc path {} { return /api/v2/orders/1029/items }
    proc host {} { return shop.example.com }
    proc version {} { return 1.1 }
    proc status {} { return 201 }
    proc collect {length} {}
    proc release {} {}
    proc payload {{length {}}} {
        if {$length eq "length"} {
            return [string length $::body]
        }
        if {$length eq ""} {
            return $::body
        }
        return [string range $::body 0 [expr {$length - 1}]]
    }
    namespace eval of_header {
        proc names {} { return $::names }
        proc count {name} { return [dict exists $::values [string tolower $name]] }
        proc value {name} {
            set key [string tolower $name]
            if {[dict exists $::values $key]} {
                return [dict get $::values $key]
            }
        }
    }
    namespace ensemble create -command header -map {
        names ::HTTP::of_header::names count ::HTTP::of_header::count exists ::HTTP::of_header::count
        value ::HTTP::of_header::value values ::HTTP::of_header::value
    }
}
namespace eval HTTP2 { proc active {} { return 0 } }
namespace eval IP {
    proc client_addr {} { return 203.0.113.9 }
    proc local_addr {} { return 198.51.100.10 }
    proc server_addr {} { return 10.0.0.21 }
}
namespace eval TCP {
    proc client_port {} { return 51234 }
    proc local_port {} { return 443 }
    proc server_port {} { return 8080 }
}
namespace eval LB { proc server {what} { return /Common/books } }
namespace eval PROFILE { proc exists {name} { return 0 } }
namespace eval TMM { proc cmp_unit {} { return 0 } }
namespace eval CRYPTO { proc sign {args} { return [string repeat \x5a 32] } }
namespace eval HSL {
    proc open {args} { return handle }
    proc send {handle data} {
        incr ::sent
        incr ::bytes [string length $data]
        return 1
    }
}
namespace eval static {}
set static::tcl_platform(machine) bigip-1.example.com
set static::tcl_platform(osVersion) 16.1.4
proc virtual {what} { return /Common/vs_books }
proc log {where text} { puts stderr $text }
proc b64encode {data} { return [binary encode base64 $data] }
proc call {name args} { tailcall $name {*}$args }
set settings {pool /Common/silhouette_collector key_id bigip-1 key silk_0123456789abcdefghijklmnopqrstuvwxyz0123456}
proc class {what args} {
    if {$what eq "names"} {
        return [dict keys $::settings]
    }
    return [dict get $::settings [lindex $args 0]]
}
# A timer of TMM's; Tcl's own would measure its event loop.
proc after {what args} { return after#1 }

# Variables of one connection are those of this program: there is only one.
proc when {event args} {
    set ::events($event) [lindex $args end]
}
proc run {event} {
    uplevel #0 $::events($event)
}

# The same exchange as one JSON line over UDP, as a discovery rule in the manner of APIClarity's builds it.
proc json_text {text} {
    string map {\\ \\\\ \" \\\" \n \\n \r \\r \t \\t} $text
}
proc json_headers {} {
    set all {}
    foreach name [HTTP::header names] {
        lappend all "\{\"key\":\"[json_text $name]\",\"value\":\"[json_text [HTTP::header value $name]]\"\}"
    }
    return "\[[join $all ,]\]"
}
set apiclarity(request) {
    set id [expr {int(rand() * 1000000000)}]
    set request "\{\"requestID\":\"$id\",\"scheme\":\"http\",\"destinationAddress\":\"[IP::local_addr]:[TCP::local_port]\",\"destinationNamespace\":\"\",\"sourceAddress\":\"[IP::client_addr]:[TCP::client_port]\",\"request\":\{\"method\":\"[HTTP::method]\",\"path\":\"[json_text [HTTP::uri]]\",\"host\":\"[json_text [HTTP::host]]\",\"common\":\{\"version\":\"[HTTP::version]\",\"headers\":[json_headers],\"time\":[clock seconds]"
    HTTP::collect 1400
}
set apiclarity(request_data) {
    set request_payload [b64encode [HTTP::payload]]
}
set apiclarity(response) {
    set response "\"response\":\{\"statusCode\":\"[HTTP::status]\",\"common\":\{\"version\":\"[HTTP::version]\",\"headers\":[json_headers],\"time\":[clock seconds]"
    HTTP::collect 2048
}
set apiclarity(response_data) {
    HSL::send handle "$request,\"body\":\"$request_payload\",\"TruncatedBody\":false\}\},$response,\"body\":\"[b64encode [HTTP::payload]]\",\"TruncatedBody\":false\}\}\}\n"
}
# The same with bodies as JSON strings.
array set naive [array get apiclarity]
set naive(request_data) { set request_payload [json_text [HTTP::payload]] }
set naive(response_data) [string map {{[b64encode [HTTP::payload]]} {[json_text [HTTP::payload]]}} $apiclarity(response_data)]

source $here/../silhouette.tcl
run RULE_INIT
set static::sil_checked 0

proc silhouette {} {
    speak_of request
    run HTTP_REQUEST
    run HTTP_REQUEST_DATA
    speak_of response
    run HTTP_RESPONSE
    run HTTP_RESPONSE_DATA
    run HTTP_RESPONSE_RELEASE
}
proc other {rule} {
    speak_of request
    uplevel #0 [set ::${rule}(request)]
    uplevel #0 [set ::${rule}(request_data)]
    speak_of response
    uplevel #0 [set ::${rule}(response)]
    uplevel #0 [set ::${rule}(response_data)]
}

# What the same rule costs when nothing is on the deny-list: the rest is what it does beyond the others.
# The first request reads the settings.
silhouette
set masked $static::silset_redact_headers
proc masking {names} {
    set static::silset_redact_headers $names
    array unset static::sil_secret
    array set static::sil_secret {}
    silhouette
}

# In turns, so that whatever else the machine does meets all of them; the median of the turns.
set candidates {
    silhouette "this rule" {masking $masked} {silhouette}
    unmasked "this rule, nothing masked" {masking {}} {silhouette}
    apiclarity "JSON, bodies in base64" {other apiclarity} {other apiclarity}
    naive "JSON, bodies escaped" {other naive} {other naive}
}
set turns 9
foreach {name title prepare script} $candidates {
    eval $prepare
    set sent 0
    set bytes 0
    eval $script
    if {$sent != 1} {
        puts stderr "$name sent $sent records for one exchange"
        exit 1
    }
    set size($name) $bytes
    set times($name) {}
}
for {set turn 0} {$turn < $turns} {incr turn} {
    foreach {name title prepare script} $candidates {
        eval $prepare
        lappend times($name) [lindex [time $script [expr {max(1, $rounds / $turns)}]] 0]
    }
}
if {$static::sil_faults > 0} {
    puts stderr "the rule caught $static::sil_faults errors of its own"
    exit 1
}
foreach {name title prepare script} $candidates {
    set median($name) [lindex [lsort -real $times($name)] [expr {$turns / 2}]]
}
if {$json} {
    set parts {}
    foreach {name title prepare script} $candidates {
        lappend parts "\"$name\":\{\"microseconds\":[format %.2f $median($name)],\"bytes\":$size($name)\}"
    }
    puts "\{[join $parts ,]\}"
} else {
    puts [format "%-34s %12s %12s %8s" "one exchange of 4.7 KB" "microseconds" "bytes sent" "ratio"]
    foreach {name title prepare script} $candidates {
        puts [format "%-34s %12.1f %12d %8.2f" $title $median($name) $size($name) [expr {$median($name) / $median(silhouette)}]]
    }
}
