# Answers that no server gave: what a rule responds, what RAM cache has kept.
#
# In: a connection (::flow) whose request is answered here. Out: its response, which the proxy releases as if it had come, but without
# HTTP_RESPONSE (::tables::page HTTP_RESPONSE); for the cache with CACHE_RESPONSE before
# (https://clouddocs.f5.com/api/irules/CACHE_RESPONSE.html).

namespace eval ::flow {
    proc respond {status headers body} {
        upvar #0 ::flow::f$::tmm::flow f
        if {$f(responded)} { return -code error "HTTP::respond: the request is answered already" }
        set f(responded) 1
        set f(answer) [list $status $headers $body]
    }

    proc answer {id} {
        upvar #0 ::flow::f$id f
        lassign $f(answer) status headers body
        set all [concat [list Server BigIP] $headers]
        lappend all Connection [expr {$f(q,keep) ? "Keep-Alive" : "close"}]
        if {$status ni {204 304}} { lappend all Content-Length [string length $body] } else { set body "" }
        set line "HTTP/1.[expr {$f(q,version) eq "1.0" ? 0 : 1}] $status [::message::reason $status]"
        local $id $status $line $all $body
    }

    proc hit {id} {
        upvar #0 ::flow::f$id f
        lassign $::flow::cached($f(uri)) head body line headers
        regexp {^HTTP/\S+ ([0-9]+)} $line _ status
        set f(hit) 1
        array set f [list p,headers $headers p,head $head p,line $line p,version 1.1 status $status p,payload $body p,dirty 0 p,replaced 0]
        if {![fire $id CACHE_RESPONSE]} { return 0 }
        if {$f(responded)} { return [answer $id] }
        local $id $status $line $headers $body $head
    }

    proc local {id status line headers body {head ""}} {
        upvar #0 ::flow::f$id f
        set f(state) reply
        set f(local) 1
        set f(q,want) ""
        body_begins $id p none
        array set f [list p,begun 1 p,line $line p,headers $headers p,version [string range $line 5 7] status $status p,keep 1 \
            p,head $head p,dirty [expr {$head eq ""}] p,held [expr {$f(method) eq "HEAD" ? "" : $body}] released 0]
        # What came of a server's answer is not for this client any more; what is left of the request is nobody's.
        drop_server $id
        if {![info exists f(id)]} { return 0 }
        return 1
    }
}
