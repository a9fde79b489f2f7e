# One client connection: a reverse proxy for HTTP/1.1 that runs the rules' events in the order TMOS has.
#
# In: bytes of clients and servers. Out: the same bytes on the other side, whatever the rules look at; what rules answer, reset
# or change themselves. Never looks further than the framing of messages, never answers for a server that does not: without a
# rule that does, the client is reset, as behind a BIG-IP without a fallback host.
#
# The state of a connection (f, an array): `head`: between requests; `hold`: a rule collects the request; `connect`: to the
# server; `reply`: request and response pass; `tunnel`: what comes passes. Messages are q (request) and p (response).
#
# What stands on which page of F5's: the order of the events on https://devcentral.f5.com/s/articles/irules-event-order-2415 ;
# collecting on ::tables::page HTTP::collect and HTTP::release; that HTTP_RESPONSE does not fire for what the BIG-IP answers
# itself on ::tables::page HTTP_RESPONSE; what RAM cache fires on https://clouddocs.f5.com/api/irules/CACHE_RESPONSE.html .

namespace eval ::flow {
    # What is configured; see bigip.tcl.
    variable config
    array set config {
        origin {127.0.0.1 80} routes {} chunking selective release fires broken fires oneconnect 0 cache {} pool /Common/books
        http2 0 max_head 32768 compress 0 interim silent
    }
    variable next 0
    variable counters
    array set counters {connections 0 requests 0 answered 0 resets 0 malformed 0 server_connections 0}
    # target -> idle server channels, with OneConnect.
    variable idle
    array set idle {}
    # uri -> {head body} of RAM cache.
    variable cached
    array set cached {}
    # Output that a slow reader has not taken yet stops the other side at this many bytes.
    variable full 1048576

    proc accept {channel address port} {
        variable next
        variable counters
        incr counters(connections)
        set id [incr next]
        upvar #0 ::flow::f$id f
        set tmm [expr {$id % $::tmm::count}]
        lassign [fconfigure $channel -sockname] here _ hereport
        array set f [list id $id tmm $tmm state head cs $channel cbuf "" ss "" sbuf "" number 0 off {} timers {} ns ::flow$id \
            client,address $address client,port $port client,local $here client,localport $hereport \
            server,address "" server,port "" server,local "" server,localport "" pool "" target "" after_close 0 dead 0 \
            responded 0 q,headers {} p,headers {} stream ::flow$id busy 0 method "" uri "" status "" q,version "" p,version "" q,keep 1]
        fconfigure $channel -blocking 0 -translation binary -buffering full -buffersize 65536
        ::tmm::open_space $tmm $f(ns)
        fileevent $channel readable [list ::flow::client $id]
        if {![fire $id CLIENT_ACCEPTED $f(ns)]} { return }
        if {$::commands::tls ne ""} { fire $id CLIENTSSL_HANDSHAKE $f(ns) }
    }

    # Fires an event; 0 when the connection is gone then.
    proc fire {id event {ns ""}} {
        upvar #0 ::flow::f$id f
        if {$ns eq ""} { set ns $f(stream) }
        if {![::tmm::fire $f(tmm) $id $event $ns]} {
            reset $id
            return 0
        }
        if {![info exists f(id)]} { return 0 }
        if {$f(dead)} {
            finish $id
            return 0
        }
        return 1
    }

    proc disabled {id event} {
        upvar #0 ::flow::f$id f
        expr {$event in $f(off) || "all" in $f(off)}
    }

    # --- what comes in ---

    proc client {id} {
        upvar #0 ::flow::f$id f
        if {[catch { read $f(cs) 262144 } bytes] || ($bytes eq "" && [eof $f(cs)])} {
            gone $id
            return
        }
        append f(cbuf) $bytes
        advance $id
        if {[info exists f(id)] && [string length $f(cbuf)] > $::flow::full} { pause $id cs }
    }

    proc server {id} {
        upvar #0 ::flow::f$id f
        if {[catch { read $f(ss) 262144 } bytes]} { set bytes "" ; set broken 1 } else { set broken [eof $f(ss)] }
        append f(sbuf) $bytes
        if {$broken} { server_gone $id; return }
        if {$bytes ne ""} { advance $id }
    }

    # Reading stops for a while: too much is waiting to be processed or written.
    proc pause {id which} {
        upvar #0 ::flow::f$id f
        fileevent $f($which) readable {}
        set f(paused,$which) 1
    }
    proc resume {id} {
        upvar #0 ::flow::f$id f
        foreach {which handler} {cs client ss server} {
            if {[info exists f(paused,$which)] && $f($which) ne ""} {
                unset f(paused,$which)
                fileevent $f($which) readable [list ::flow::$handler $id]
            }
        }
    }

    # Writes to a side, and stops reading from the other while too much is pending.
    proc put {id which bytes} {
        upvar #0 ::flow::f$id f
        if {$bytes eq "" || $f($which) eq ""} { return }
        if {[catch {
            puts -nonewline $f($which) $bytes
            flush $f($which)
        }]} {
            if {$which eq "cs"} { set f(write_failed) 1 }
            return
        }
        if {[chan pending output $f($which)] > $::flow::full} {
            pause $id [expr {$which eq "cs" ? "ss" : "cs"}]
            fileevent $f($which) writable [list ::flow::drained $id $which]
        }
    }
    proc drained {id which} {
        upvar #0 ::flow::f$id f
        if {[chan pending output $f($which)] > $::flow::full / 2} { return }
        fileevent $f($which) writable {}
        resume $id
    }

    # --- the client's side ---

    proc advance {id} {
        upvar #0 ::flow::f$id f
        if {$f(busy)} { return }
        set f(busy) 1
        set more 1
        while {$more && [info exists f(id)]} {
            if {$f(dead) || [info exists f(write_failed)]} {
                finish $id
                return
            }
            switch -- $f(state) {
                head { set more [request_head $id] }
                hold { set more [hold $id] }
                connect { set more 0 }
                reply { set more [reply $id] }
                tunnel {
                    put $id ss $f(cbuf)
                    set f(cbuf) ""
                    put $id cs $f(sbuf)
                    set f(sbuf) ""
                    set more 0
                }
            }
        }
        if {[info exists f(id)]} { set f(busy) 0 }
    }

    proc body_begins {id s framing} {
        upvar #0 ::flow::f$id f
        set f($s,framing) [lindex $framing 0]
        set f($s,left) [lindex $framing 1]
        set f($s,chunks) [::chunks::begin]
        set f($s,ended) [expr {$framing in {none {length 0}}}]
        set f($s,bodiless) $f($s,ended)
        set f($s,want) ""
        set f($s,held) ""
        set f($s,payload) ""
        set f($s,replaced) 0
        set f($s,dirty) 0
    }

    proc request_head {id} {
        upvar #0 ::flow::f$id f
        variable counters
        variable config
        set f(cbuf) [string trimleft $f(cbuf) \r\n]
        if {[catch { ::message::whole $f(cbuf) $config(max_head) } head]} { incr counters(malformed); return [reset $id] }
        if {$head eq ""} { return 0 }
        set f(cbuf) [string range $f(cbuf) [string length $head] end]
        if {[catch {
            lassign [::message::parse $head] line headers
            if {![regexp {^(\S+) (.*\S) HTTP/(1\.[01])$} $line _ method uri version]} { error "not a request line" }
            body_begins $id q [::message::framing $headers none]
        }]} { incr counters(malformed); return [reset $id] }
        incr counters(requests)
        incr f(number)
        array set f [list q,head $head method $method uri $uri q,version $version q,headers $headers status "" responded 0 \
            local 0 p,begun 0 p,headers {} p,version "" hit "" late {} retry ""]
        foreach name {p,want p,ended p,begun p,payload p,held p,bodiless} { set f($name) [expr {$name in {p,want p,payload p,held} ? "" : 0}] }
        set connection [::message::tokens $headers connection]
        set f(q,keep) [expr {$version eq "1.1" ? "close" ni $connection : "keep-alive" in $connection}]
        # Before 14.1 each stream of HTTP/2 has variables of its own, and those of CLIENT_ACCEPTED are not among them.
        if {$config(http2)} {
            if {$f(stream) ne $f(ns)} { ::tmm::close_space $f(tmm) $f(stream) }
            set f(stream) $f(ns)s$f(number)
            ::tmm::open_space $f(tmm) $f(stream)
        }
        set f(state) hold
        if {$config(http2)} { set f(q,head) [string map [list "HTTP/$version\r\n" "HTTP/2.0\r\n"] $f(q,head)] }
        if {![fire $id HTTP_REQUEST]} { return 0 }
        return 1
    }

    # The request as long as a rule collects it.
    proc hold {id} {
        upvar #0 ::flow::f$id f
        if {$f(responded)} { return [answer $id] }
        if {$f(q,want) ne ""} {
            pump $id q
            if {![info exists f(id)]} { return 0 }
            if {$f(q,want) eq "stall"} { return 0 }
            if {[string length $f(q,payload)] < $f(q,want) && !$f(q,ended)} { return 0 }
            set f(q,want) ""
            if {![fire $id HTTP_REQUEST_DATA]} { return 0 }
            return 1
        }
        return [select $id]
    }

    # Takes what is there of a body out of the buffer: kept while a rule collects, passed on else.
    proc pump {id s} {
        upvar #0 ::flow::f$id f
        variable config
        set from [expr {$s eq "q" ? "cbuf" : "sbuf"}]
        if {$f($s,ended) || $f($from) eq ""} { return }
        set plain ""
        switch -- $f($s,framing) {
            length {
                set raw [string range $f($from) 0 [expr {$f($s,left) - 1}]]
                incr f($s,left) -[string length $raw]
                if {$f($s,left) == 0} { set f($s,ended) 1 }
                set plain $raw
            }
            chunked {
                if {[catch { ::chunks::feed f($s,chunks) $f($from) plain } taken]} {
                    incr ::flow::counters(malformed)
                    reset $id
                    return
                }
                set raw [string range $f($from) 0 [expr {$taken - 1}]]
                if {[::chunks::ended $f($s,chunks)]} { set f($s,ended) 1 }
                if {$config(chunking) eq "preserve"} { set plain $raw }
            }
            close {
                set raw $f($from)
                set plain $raw
            }
        }
        set f($from) [string range $f($from) [string length $raw] end]
        if {$f($s,want) ne "" || ($s eq "p" && !$f(released))} {
            append f($s,held) $raw
            append f($s,payload) $plain
        } elseif {$s eq "q"} {
            put $id ss $raw
        } elseif {[compresses $id]} {
            pass $id [compressed $id $plain -flush]
        } else {
            pass $id $raw
        }
        resume $id
    }

    # --- the server's side ---

    proc select {id} {
        upvar #0 ::flow::f$id f
        variable config
        if {$config(cache) ne "" && $f(method) eq "GET" && [string match $config(cache)* $f(uri)]} {
            if {![fire $id CACHE_REQUEST]} { return 0 }
            if {$f(responded)} { return [answer $id] }
            if {[info exists ::flow::cached($f(uri))]} { return [hit $id] }
        }
        set f(state) connect
        set f(pool) $config(pool)
        set target $config(origin)
        foreach {prefix address} $config(routes) {
            if {[string match $prefix* $f(uri)]} { set target $address; break }
        }
        if {![fire $id LB_SELECTED]} { return 0 }
        if {$f(ss) ne "" && $f(target) eq $target && ![eof $f(ss)]} { return [request_send $id] }
        drop_server $id
        set f(target) $target
        if {$config(oneconnect) && [info exists ::flow::idle($target)] && [llength $::flow::idle($target)]} {
            set channel [lindex $::flow::idle($target) end]
            set ::flow::idle($target) [lrange $::flow::idle($target) 0 end-1]
            take_server $id $channel
            return [request_send $id]
        }
        if {[catch { socket -async {*}$target } channel]} { return [unreachable $id] }
        set f(ss) $channel
        fileevent $channel writable [list ::flow::connected_now $id $channel]
        return 0
    }

    proc take_server {id channel} {
        upvar #0 ::flow::f$id f
        set f(ss) $channel
        set f(sbuf) ""
        fconfigure $channel -blocking 0 -translation binary -buffering full -buffersize 65536
        lassign [fconfigure $channel -sockname] f(server,local) _ f(server,localport)
        lassign [fconfigure $channel -peername] f(server,address) _ f(server,port)
        fileevent $channel writable {}
        fileevent $channel readable [list ::flow::server $id]
    }

    proc connected_now {id channel} {
        upvar #0 ::flow::f$id f
        variable counters
        fileevent $channel writable {}
        set problem [fconfigure $channel -error]
        if {$problem ne ""} {
            catch { close $channel }
            set f(ss) ""
            if {[unreachable $id]} { advance $id }
            return
        }
        incr counters(server_connections)
        take_server $id $channel
        if {![fire $id SERVER_CONNECTED]} { return }
        if {[request_send $id]} { advance $id }
    }

    proc unreachable {id} {
        upvar #0 ::flow::f$id f
        if {![fire $id LB_FAILED]} { return 0 }
        if {$f(responded)} { return [answer $id] }
        reset $id
        return 0
    }

    proc request_send {id} {
        upvar #0 ::flow::f$id f
        foreach event {HTTP_REQUEST_SEND HTTP_REQUEST_RELEASE} {
            if {![fire $id $event]} { return 0 }
        }
        set f(state) reply
        set f(released) 0
        set head [outgoing $id q]
        if {$f(q,replaced)} { put $id ss $head$f(q,payload) } else { put $id ss $head$f(q,held) }
        set f(q,held) ""
        return 1
    }

    # The head as the other side shall get it.
    proc outgoing {id s} {
        upvar #0 ::flow::f$id f
        if {$f($s,replaced)} {
            set headers {}
            foreach {name value} $f($s,headers) {
                if {[string tolower $name] ni {content-length transfer-encoding}} { lappend headers $name $value }
            }
            set f($s,headers) [concat $headers [list Content-Length [string length $f($s,payload)]]]
            set f($s,dirty) 1
        }
        if {!$f($s,dirty) && !($s eq "q" && $::flow::config(http2))} { return $f($s,head) }
        return [rebuilt $id $s]
    }
    proc rebuilt {id s} {
        upvar #0 ::flow::f$id f
        set line [expr {$s eq "q" ? "$f(method) $f(uri) HTTP/$f(q,version)" : $f(p,line)}]
        set head $line\r\n
        foreach {name value} $f($s,headers) { append head "$name: $value\r\n" }
        return $head\r\n
    }

    proc reply {id} {
        upvar #0 ::flow::f$id f
        if {$f(responded) && !$f(local)} { return [answer $id] }
        pump $id q
        if {![info exists f(id)]} { return 0 }
        if {!$f(p,begun)} {
            if {[catch { ::message::whole $f(sbuf) $::flow::config(max_head) } head]} { incr ::flow::counters(malformed); return [reset $id] }
            if {$head eq ""} { return 0 }
            set f(sbuf) [string range $f(sbuf) [string length $head] end]
            return [response_head $id $head]
        }
        pump $id p
        if {![info exists f(id)]} { return 0 }
        if {!$f(released)} {
            if {$f(p,want) ne ""} {
                if {$f(p,want) eq "stall"} { return 0 }
                if {[string length $f(p,payload)] < $f(p,want) && !$f(p,ended)} { return 0 }
                set f(p,want) ""
                if {![fire $id HTTP_RESPONSE_DATA]} { return 0 }
                if {$f(retry) ne ""} { return [again $id] }
                return 1
            }
            return [response_release $id]
        }
        if {$f(p,ended)} {
            pass $id [compress_ends $id]
            return [complete $id]
        }
        return 0
    }

    proc response_head {id head} {
        upvar #0 ::flow::f$id f
        variable counters
        if {[catch {
            lassign [::message::parse $head] line headers
            if {![regexp {^HTTP/(1\.[01]) ([0-9]{3})(?: .*)?$} $line _ version status]} { error "not a status line" }
            if {$status >= 200 && $f(method) ne "HEAD" && $status ni {204 304}} {
                set framing [::message::framing $headers close]
            } else {
                set framing none
            }
        }]} {
            incr counters(malformed)
            return [reset $id]
        }
        if {$status < 200 && $status != 101} {
            # Interim: passed at once. That 100 has an event of its own, HTTP_RESPONSE_CONTINUE, is all that F5's pages say: whether
            # others fire those of an answer, none tells. With `interim fires` all do.
            if {$::flow::config(interim) eq "fires"} {
                body_begins $id p none
                array set f [list p,head $head p,line $line p,headers $headers p,version $version status $status]
                foreach event {HTTP_RESPONSE HTTP_RESPONSE_RELEASE} {
                    if {![fire $id $event]} { return 0 }
                    if {$f(responded)} { return 1 }
                }
                set f(status) ""
            }
            put $id cs $head
            return 1
        }
        body_begins $id p $framing
        array set f [list p,head $head p,line $line p,headers $headers p,version $version status $status p,begun 1]
        set connection [::message::tokens $headers connection]
        set f(p,keep) [expr {$framing ne "close" && ($version eq "1.1" ? "close" ni $connection : "keep-alive" in $connection)}]
        if {![fire $id HTTP_RESPONSE]} { return 0 }
        if {$f(retry) ne ""} { return [again $id] }
        return 1
    }

    # The request that a rule sends again, as if the client had.
    proc again {id} {
        upvar #0 ::flow::f$id f
        drop_server $id
        if {![info exists f(id)]} { return 0 }
        set f(cbuf) $f(retry)$f(cbuf)
        set f(state) head
        return 1
    }

    proc response_release {id} {
        upvar #0 ::flow::f$id f
        variable counters
        compress_begins $id
        if {![fire $id HTTP_RESPONSE_RELEASE]} { return 0 }
        incr counters(answered)
        set f(released) 1
        set f(kept_head) [outgoing $id p]
        set f(kept_body) ""
        put $id cs $f(kept_head)
        if {[compresses $id]} {
            pass $id [compressed $id $f(p,payload) -flush]
        } elseif {$f(p,replaced)} {
            pass $id $f(p,payload)
        } else {
            pass $id $f(p,held)
        }
        set f(p,held) ""
        if {$f(status) == 101} { set f(state) tunnel }
        return 1
    }

    proc pass {id bytes} {
        upvar #0 ::flow::f$id f
        variable config
        if {$config(cache) ne "" && [string match $config(cache)* $f(uri)]} { append f(kept_body) $bytes }
        put $id cs $bytes
    }

    # The response is over; the request's body may still come.
    proc complete {id} {
        upvar #0 ::flow::f$id f
        variable config
        if {!$f(q,ended)} { return 0 }
        if {$config(cache) ne "" && $f(method) eq "GET" && $f(status) == 200 && [string match $config(cache)* $f(uri)] && !$f(local)
            && [array size ::flow::cached] < 1000} {
            set ::flow::cached($f(uri)) [list $f(kept_head) $f(kept_body) $f(p,line) $f(p,headers)]
        }
        if {$f(ss) ne ""} {
            if {$f(local) || !$f(p,keep) || !$f(q,keep)} {
                drop_server $id
                if {![info exists f(id)]} { return 0 }
            } elseif {$config(oneconnect)} {
                lappend ::flow::idle($f(target)) $f(ss)
                fileevent $f(ss) readable [list ::flow::idle_event $f(target) $f(ss)]
                set f(ss) ""
            }
        }
        if {!$f(q,keep) || !$f(p,keep) || $f(after_close)} {
            finish $id
            return 0
        }
        set f(state) head
        set f(held) ""
        return 1
    }

    proc idle_event {target channel} {
        # An idle server that speaks has closed.
        set kept {}
        foreach one $::flow::idle($target) { if {$one ne $channel} { lappend kept $one } }
        set ::flow::idle($target) $kept
        catch { close $channel }
    }

    # --- ends ---

    proc drop_server {id} {
        upvar #0 ::flow::f$id f
        set f(sbuf) ""
        if {$f(ss) eq ""} { return }
        set channel $f(ss)
        set f(ss) ""
        catch { fileevent $channel readable {}; fileevent $channel writable {} ; close $channel }
        if {$f(server,address) ne ""} {
            fire $id SERVER_CLOSED
            if {![info exists f(id)]} { return }
        }
        set f(server,address) ""
    }

    # The server has closed, or broken.
    proc server_gone {id} {
        upvar #0 ::flow::f$id f
        if {$f(state) eq "reply" && $f(p,begun) && !$f(p,ended) && $f(p,framing) eq "close"} {
            advance $id
            if {![info exists f(id)]} { return }
            if {$f(state) eq "reply" && $f(p,begun)} { set f(p,ended) 1 }
            advance $id
            return
        }
        # What has come still counts: the answer may be whole.
        fileevent $f(ss) readable {}
        set channel $f(ss)
        if {$f(state) in {reply tunnel}} { advance $id }
        if {![info exists f(id)] || $f(ss) ne $channel} { return }
        switch -- $f(state) {
            reply {
                if {$f(p,begun) && $f(p,ended)} {
                    # The rest of the request has nowhere to go; it is read and forgotten.
                    set f(p,keep) 0
                    drop_server $id
                    if {[info exists f(id)]} { advance $id }
                    return
                }
                # In the middle of an answer, or without one: the client is reset.
                if {$::flow::config(broken) eq "fires" && $f(p,begun) && !$f(released) && $f(p,want) ne ""} { broken_collect $id; return }
                reset $id
            }
            head { drop_server $id }
            default { finish $id }
        }
    }

    # The server broke while a rule was collecting. No page says what happens: here what came goes to the rule and the client, which is
    # reset then; with `broken silent` it is reset at once.
    proc broken_collect {id} {
        upvar #0 ::flow::f$id f
        set f(p,want) ""
        if {![fire $id HTTP_RESPONSE_DATA]} { return }
        if {![response_release $id]} { return }
        reset $id
    }

    # The client has left.
    proc gone {id} { finish $id }

    proc reset {id} {
        upvar #0 ::flow::f$id f
        variable counters
        incr counters(resets)
        finish $id
        return 0
    }

    proc finish {id} {
        upvar #0 ::flow::f$id f
        if {![info exists f(id)] || [info exists f(finished)]} { return }
        set f(finished) 1
        set f(dead) 0
        foreach {name token} $f(timers) { ::after cancel $token }
        if {$f(ss) ne ""} {
            catch { close $f(ss) }
            set f(ss) ""
            if {$f(server,address) ne ""} { ::tmm::fire $f(tmm) $id SERVER_CLOSED $f(stream) }
        }
        ::tmm::fire $f(tmm) $id CLIENT_CLOSED $f(ns)
        foreach {name token} $f(timers) { ::after cancel $token }
        catch { close $f(cs) }
        compress_ends $id
        ::tmm::close_space $f(tmm) $f(ns)
        if {$f(stream) ne $f(ns)} { ::tmm::close_space $f(tmm) $f(stream) }
        unset f
    }
}
