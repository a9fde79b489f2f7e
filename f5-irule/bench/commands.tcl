# The commands that F5 adds to Tcl, as far as ::tables has them.
#
# In: calls from a rule; which TMM, connection and event it runs in is in ::tmm. Out: what the connection (::flow) is and
# becomes. Never lets a command through in an event in which it is not valid: that is an error in the rule and a violation in
# the bench's books, and the page of F5's is in the message.

namespace eval ::commands {
    # Seconds by which the rules' clock is ahead, for tests that cannot wait.
    variable ahead 0
    variable platform {}
    variable http2 0
    # What `PROFILE::exists clientssl` and SSL:: tell: empty, or a list of version, cipher, sni, cert.
    variable tls {}
    variable virtual /Common/vs_books
    # name -> list of {name value}
    variable groups
    array set groups {}

    # Every command of a rule comes in here.
    proc run {name args} {
        if {$::tmm::event ni [lindex $::tables::row($name) 1]} {
            set message "$name is not valid in $::tmm::event: [::tables::page $name]"
            ::tmm::violation $message
            return -code error $message
        }
        ::commands::[string map {:: .} $name] {*}$args
    }

    proc wrong {usage} { return -code error "wrong # args: should be \"$usage\"" }

    # Side and message of the event: q, the request, or p, the response.
    proc message {} {
        expr {$::tmm::event in {HTTP_RESPONSE HTTP_RESPONSE_DATA HTTP_RESPONSE_RELEASE CACHE_RESPONSE} ? "p" : "q"}
    }

    # The side whose addresses are meant.
    proc side {} {
        variable forced
        if {[info exists forced]} { return $forced }
        return $::tables::side($::tmm::event)
    }

    proc clock {what args} {
        variable ahead
        switch -- $what {
            seconds { expr {[::clock seconds] + $ahead} }
            clicks {
                if {$args eq "-milliseconds"} { return [expr {[::clock milliseconds] + $ahead * 1000}] }
                if {[llength $args]} { return -code error "bad switch \"$args\": must be -milliseconds" }
                expr {[::clock microseconds] + $ahead * 1000000}
            }
            format - scan { ::clock $what {*}$args }
            default { return -code error "bad option \"$what\": must be clicks, format, scan or seconds" }
        }
    }

    # --- what a message is made of: https://clouddocs.f5.com/api/irules/HTTP.html ---

    proc HTTP.method {} { ::flow::get method }
    proc HTTP.version {args} {
        variable http2
        if {[llength $args]} { wrong HTTP::version }
        if {[message] eq "p"} { return [::flow::get p,version] }
        expr {$http2 ? "2.0" : [::flow::get q,version]}
    }
    proc HTTP.uri {args} {
        if {[llength $args] > 1} { wrong "HTTP::uri ?uri?" }
        if {[llength $args]} { ::flow::set_uri [lindex $args 0] }
        ::flow::get uri
    }
    proc HTTP.path {args} {
        if {[llength $args]} { wrong HTTP::path }
        lindex [split [::flow::get uri] ?] 0
    }
    proc HTTP.query {args} {
        if {[llength $args]} { wrong HTTP::query }
        set uri [::flow::get uri]
        set mark [string first ? $uri]
        expr {$mark < 0 ? "" : [string range $uri [expr {$mark + 1}] end]}
    }
    proc HTTP.host {args} {
        if {[llength $args]} { wrong HTTP::host }
        last [::flow::headers q] host
    }
    proc HTTP.request {} { ::flow::head q }
    proc HTTP.request_num {} { ::flow::get number }
    proc HTTP.status {} { ::flow::get status }
    proc HTTP.is_keepalive {} { ::flow::get q,keep }
    proc HTTP.is_redirect {} { expr {[::flow::get status] in {301 302 303 305 307 308}} }
    proc HTTP2.active {} { expr {$::commands::http2} }
    proc HTTP2.version {} { expr {$::commands::http2 ? "2.0" : ""} }

    # Of several headers of one name the last one counts (::tables::page HTTP::header).
    proc last {headers wanted} {
        set found ""
        foreach {name value} $headers {
            if {[string equal -nocase $name $wanted]} { set found $value }
        }
        return $found
    }

    proc HTTP.header {what args} {
        set s [message]
        set headers [::flow::headers $s]
        switch -- $what {
            names {
                set names {}
                foreach {name value} $headers { lappend names $name }
                return $names
            }
            count {
                if {![llength $args]} { return [expr {[llength $headers] / 2}] }
                set count 0
                foreach {name value} $headers { incr count [string equal -nocase $name [lindex $args 0]] }
                return $count
            }
            exists {
                foreach {name value} $headers {
                    if {[string equal -nocase $name [lindex $args 0]]} { return 1 }
                }
                return 0
            }
            value { return [last $headers [lindex $args 0]] }
            values {
                set values {}
                foreach {name value} $headers {
                    if {[string equal -nocase $name [lindex $args 0]]} { lappend values $value }
                }
                # One value is not a list of one: it comes as it is (::tables::page HTTP::header).
                if {[llength $values] == 1} { return [lindex $values 0] }
                return $values
            }
            at { return [lindex $headers [expr {2 * [lindex $args 0]}]] }
            is_keepalive { return [HTTP.is_keepalive] }
            is_redirect { return [HTTP.is_redirect] }
            insert {
                if {[lindex $args 0] eq "lws"} { set args [lrange $args 1 end] }
                if {[llength $args] == 1} { set args [lindex $args 0] }
                ::flow::set_headers $s [concat $headers $args]
            }
            replace - remove {
                set kept {}
                set replaced 0
                foreach {name value} $headers {
                    if {![string equal -nocase $name [lindex $args 0]]} {
                        lappend kept $name $value
                    } elseif {$what eq "replace" && !$replaced} {
                        lappend kept $name [lindex $args 1]
                        set replaced 1
                    }
                }
                if {$what eq "replace" && !$replaced} { lappend kept [lindex $args 0] [lindex $args 1] }
                ::flow::set_headers $s $kept
            }
            default {
                if {[llength $args]} { return -code error "HTTP::header $what: not a subcommand" }
                return [last $headers $what]
            }
        }
        return
    }

    # --- bodies: ::tables::page HTTP::collect, HTTP::release, HTTP::payload ---

    proc HTTP.collect {{length ""}} {
        if {$length ne "" && ![string is integer -strict $length]} {
            return -code error "HTTP::collect: expected an integer, got \"$length\""
        }
        ::flow::collect [message] $length
    }
    proc HTTP.release {} { ::flow::release }
    proc HTTP.payload {args} {
        set s [message]
        set payload [::flow::payload $s]
        switch -- [llength $args] {
            0 { return $payload }
            1 {
                if {$args eq "length"} { return [string length $payload] }
                return [string range $payload 0 [expr {[lindex $args 0] - 1}]]
            }
            2 {
                lassign $args offset length
                return [string range $payload $offset [expr {$offset + $length - 1}]]
            }
        }
        lassign $args what offset length text
        if {$what ne "replace" || [llength $args] != 4} { wrong "HTTP::payload replace offset length text" }
        ::flow::set_payload $s "[string range $payload 0 [expr {$offset - 1}]]$text[string range $payload [expr {$offset + $length}] end]"
    }

    # --- answers of our own, and the end: ::tables::page HTTP::respond, HTTP::redirect, HTTP::retry, reject ---

    proc HTTP.respond {status args} {
        set body ""
        set headers {}
        while {[llength $args]} {
            set args [lassign $args word]
            switch -- $word {
                content { set args [lassign $args body] }
                noserver {}
                -version { set args [lassign $args _] }
                default {
                    set args [lassign $args value]
                    lappend headers $word $value
                }
            }
        }
        ::flow::respond $status $headers $body
    }
    proc HTTP.redirect {url} { ::flow::respond 302 [list Location $url] "" }
    proc HTTP.retry {args} {
        if {[lindex $args 0] eq "-reset"} { set args [lrange $args 1 end] }
        if {[llength $args] != 1} { wrong "HTTP::retry ?-reset? request" }
        ::flow::retry [lindex $args 0]
    }
    proc HTTP.close {} { ::flow::close_after }
    proc reject {} { ::flow::reject }

    proc pool {name args} { ::flow::pool $name }
    proc event {args} {
        switch -- [llength $args] {
            0 { return $::tmm::event }
            1 { set name $::tmm::event; set how [lindex $args 0] }
            default { lassign $args name how }
        }
        ::flow::switch_event $name $how
    }

    # --- the connection: https://clouddocs.f5.com/api/irules/IP.html, .../TCP.html, .../LB.html ---

    proc IP.client_addr {} { ::flow::get client,address }
    proc TCP.client_port {} { ::flow::get client,port }
    # Before there is a connection to a server its address is 0 (https://clouddocs.f5.com/api/irules/IP__server_addr.html); of its
    # port no page says, so it is an error.
    proc IP.server_addr {} { expr {[::flow::connected] ? [::flow::get server,address] : 0} }
    proc TCP.server_port {} {
        if {![::flow::connected]} { return -code error "TCP::server_port: there is no server-side connection" }
        ::flow::get server,port
    }
    proc IP.local_addr {} { ::flow::get [side],local }
    proc TCP.local_port {} { ::flow::get [side],localport }
    proc IP.remote_addr {} { ::flow::get [side],address }
    proc TCP.remote_port {} { ::flow::get [side],port }
    proc clientside {{script ""}} { within client $script }
    proc serverside {{script ""}} { within server $script }
    proc within {which script} {
        variable forced
        if {$script eq ""} { return [expr {$::tables::side($::tmm::event) eq $which}] }
        set forced $which
        # The script has no access to the event's variables here; what stands in it is one command.
        set failed [catch { interp eval tmm$::tmm::now $script } result options]
        unset forced
        return -options $options $result
    }
    proc LB.server {{what ""}} {
        switch -- $what {
            pool { ::flow::get pool }
            name - addr { expr {[::flow::connected] ? [::flow::get server,address] : ""} }
            port { expr {[::flow::connected] ? [::flow::get server,port] : ""} }
            default { list [::flow::get pool] [HTTP_address] [HTTP_port] }
        }
    }
    proc HTTP_address {} { expr {[::flow::connected] ? [::flow::get server,address] : ""} }
    proc HTTP_port {} { expr {[::flow::connected] ? [::flow::get server,port] : ""} }
    proc virtual {{what name}} { return $::commands::virtual }
    proc PROFILE.exists {kind args} {
        variable tls
        switch -- $kind {
            clientssl { expr {$tls ne ""} }
            http - tcp { return 1 }
            http2 { expr {$::commands::http2} }
            default { return 0 }
        }
    }

    # --- TLS: https://clouddocs.f5.com/api/irules/SSL.html ---

    proc tls_fact {command name} {
        variable tls
        if {$tls eq ""} { return -code error "$command: the connection is not TLS" }
        if {[dict exists $tls $name]} { dict get $tls $name }
    }
    proc SSL.cipher {what} {
        switch -- $what {
            version { tls_fact SSL::cipher version }
            name { tls_fact SSL::cipher cipher }
            bits { tls_fact SSL::cipher bits }
        }
    }
    proc SSL.sni {what} { tls_fact SSL::sni sni }
    proc SSL.cert {what} {
        set cert [tls_fact SSL::cert cert]
        if {$what ne "count"} { return -code error "SSL::cert $what is not emulated" }
        expr {$cert ne ""}
    }
    proc SSL.verify_result {} { expr {[tls_fact SSL::verify_result cert] eq "bad" ? 20 : 0} }

    # --- data-groups: ::tables::page class ---

    proc group {name} {
        variable groups
        set plain [string map {/Common/ ""} $name]
        if {![info exists groups($plain)]} { return -code error "no such class $name" }
        return $groups($plain)
    }
    proc class {what args} {
        switch -- $what {
            exists {
                variable groups
                info exists groups([string map {/Common/ ""} [lindex $args 0]])
            }
            size { llength [group [lindex $args 0]] }
            type { group [lindex $args 0]; return string }
            get { group [lindex $args end] }
            names {
                set names {}
                foreach one [group [lindex $args end]] { lappend names [lindex $one 0] }
                return $names
            }
            lookup {
                lassign $args wanted name
                foreach one [group $name] {
                    if {[lindex $one 0] eq $wanted} { return [lindex $one 1] }
                }
                return
            }
            element { lindex [group [lindex $args end]] [lindex $args end-1] }
            match {
                set how -bool
                while {[string match -* [lindex $args 0]] && [lindex $args 0] ne "--"} { set args [lassign $args how] }
                if {[lindex $args 0] eq "--"} { set args [lrange $args 1 end] }
                lassign $args item operator name
                foreach one [group $name] {
                    lassign $one key value
                    set hit [switch -- $operator {
                        equals { string equal $item $key }
                        starts_with { string equal -length [string length $key] $key $item }
                        ends_with { string equal $key [string range $item end-[expr {[string length $key] - 1}] end] }
                        contains { expr {[string first $key $item] >= 0} }
                        default { return -code error "class match: operator \"$operator\"" }
                    }]
                    if {$hit} {
                        return [switch -- $how { -value { set value } -name { set key } -element { list $key $value } default { expr 1 } }]
                    }
                }
                return [expr {$how eq "-bool" ? 0 : ""}]
            }
        }
    }

    # --- HSL: ::tables::page HSL::open and HSL::send ---

    proc HSL.open {args} {
        if {[llength $args] != 4 || [lindex $args 0] ne "-proto" || [lindex $args 2] ne "-pool"} {
            wrong "HSL::open -proto TCP|UDP -pool pool"
        }
        ::hsl::open_handle $::tmm::now [lindex $args 1] [lindex $args 3]
    }
    proc HSL.send {handle data} { ::hsl::send $::tmm::now $handle $data }

    # --- the rest ---

    proc TMM.cmp_unit {} { return $::tmm::now }
    proc TMM.cmp_count {} { return $::tmm::count }
    proc log {args} {
        if {[llength $args] == 1} {
            ::tmm::say [lindex $args 0]
        } elseif {[regexp {^(-noname )?local[0-7][.]} [lindex $args end-1]]} {
            ::tmm::say [lindex $args end]
        } else {
            return -code error "log: unknown facility [lindex $args 0]"
        }
    }
    proc bytes {text} {
        # What is not a byte goes as UTF-8, as everything in TMOS does.
        if {[regexp {[^\x00-\xff]} $text]} { return [encoding convertto utf-8 $text] }
        return $text
    }
    proc b64encode {text} { binary encode base64 [bytes $text] }
    proc b64decode {text} { binary decode base64 $text }
    proc URI.decode {text} {
        set out ""
        set at 0
        foreach found [regexp -all -inline -indices {%[0-9a-fA-F]{2}} $text] {
            lassign $found from to
            append out [string range $text $at [expr {$from - 1}]] [format %c 0x[string range $text [expr {$from + 1}] $to]]
            set at [expr {$to + 1}]
        }
        append out [string range $text $at end]
    }
    proc CRYPTO.sign {args} {
        set data ""
        set key ""
        set algorithm ""
        while {[llength $args]} {
            set args [lassign $args word]
            switch -- $word {
                -alg { set args [lassign $args algorithm] }
                -key { set args [lassign $args key] }
                -keyhex {
                    set args [lassign $args hex]
                    set key [binary format H* $hex]
                }
                -ctx - -final - -signature { return -code error "CRYPTO::sign $word is not emulated" }
                default { set data $word }
            }
        }
        if {$algorithm ne "hmac-sha256"} { return -code error "CRYPTO::sign -alg $algorithm is not emulated: only hmac-sha256" }
        ::hash::hmac [bytes $key] [bytes $data]
    }
    proc sha256 {text} { ::hash::sha256 [bytes $text] }
    proc sha1 {text} { return -code error "sha1 is not emulated" }
    proc md5 {text} { return -code error "md5 is not emulated" }
    proc crc32 {text} { zlib crc32 [bytes $text] }

    # Timers run in the context of the event that set them, and end with the connection
    # (https://devcentral.f5.com/articles/v10-irules-and-the-after-command).
    proc after {what args} {
        switch -- $what {
            cancel { return [::flow::cancel_timer [lindex $args 0]] }
            info { return [::flow::timers] }
        }
        if {![string is integer -strict $what] || $what < 0} { return -code error "after: \"$what\" is not a number of milliseconds" }
        if {[lindex $args 0] eq "-periodic"} { return [::flow::set_timer $what [lindex $args 1] 1] }
        ::flow::set_timer $what [lindex $args 0] 0
    }
}

# SHA-256 and HMAC (RFC 2104) with the C code of Debian's tcllib-critcl: in Tcl itself a record would cost milliseconds.
namespace eval ::hash {
    proc sha256 {data} {
        ::sha2::sha256c_update $data [::sha2::sha256c_init256]
    }
    proc hmac {key data} {
        variable pads
        if {![info exists pads($key)]} {
            set short $key
            if {[string length $short] > 64} { set short [sha256 $short] }
            binary scan [binary format a64 $short] cu64 octets
            set pads($key) [list [binary format c* [lmap o $octets {expr {$o ^ 0x36}}]] [binary format c* [lmap o $octets {expr {$o ^ 0x5c}}]]]
        }
        lassign $pads($key) inner outer
        sha256 $outer[sha256 $inner$data]
    }
}
