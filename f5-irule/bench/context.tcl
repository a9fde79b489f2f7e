# What rules read and change of the connection whose event runs.
#
# In: calls of ::commands. Out: values of the connection's state (::flow), and wishes in it, which the proxy fulfils when the event is
# over: collect, release, an answer, the end, timers.

namespace eval ::flow {
    variable timer 0

    proc get {name} {
        upvar #0 ::flow::f$::tmm::flow f
        return $f($name)
    }
    proc connected {} {
        upvar #0 ::flow::f$::tmm::flow f
        expr {$f(ss) ne "" && $f(server,address) ne "" || $::tmm::event eq "SERVER_CLOSED"}
    }
    proc headers {s} { get $s,headers }
    proc head {s} {
        upvar #0 ::flow::f$::tmm::flow f
        if {$f($s,dirty)} { return [rebuilt $::tmm::flow $s] }
        return $f($s,head)
    }
    proc set_headers {s headers} {
        upvar #0 ::flow::f$::tmm::flow f
        set f($s,headers) $headers
        set f($s,dirty) 1
    }
    proc set_uri {uri} {
        upvar #0 ::flow::f$::tmm::flow f
        set f(uri) $uri
        set f(q,dirty) 1
    }
    proc payload {s} { get $s,payload }
    proc set_payload {s text} {
        upvar #0 ::flow::f$::tmm::flow f
        set f($s,payload) $text
        set f($s,replaced) 1
    }

    # After a response was sent it is an error. Of several collects in one event, by whichever rule, the last one counts, the
    # earlier are ignored. Both on https://clouddocs.f5.com/api/irules/HTTP__collect.html . Without a length, or for a message
    # that has no body, nothing ever comes that would let it go on.
    proc collect {s length} {
        upvar #0 ::flow::f$::tmm::flow f
        if {$f(responded)} { return -code error "HTTP::collect after a response was sent: [::tables::page HTTP::collect]" }
        if {$length eq "" || $length <= 0} {
            ::tmm::violation "HTTP::collect without a length: it waits for ever"
            set f($s,want) stall
        } elseif {$f($s,bodiless)} {
            ::tmm::violation "HTTP::collect of a message without a body: it waits for ever"
            set f($s,want) stall
        } elseif {[string match *_DATA $::tmm::event]} {
            set f($s,want) [expr {[string length $f($s,payload)] + $length}]
        } else {
            set f($s,want) $length
        }
        return
    }

    # Ends a collect. In the event that has the data it says what happens anyway; elsewhere the data event follows, or, by
    # the other reading of F5's page, does not.
    proc release {} {
        upvar #0 ::flow::f$::tmm::flow f
        if {[string match *_DATA $::tmm::event]} {
            set s [expr {$::tmm::event eq "HTTP_REQUEST_DATA" ? "q" : "p"}]
            set f($s,want) ""
            return
        }
        foreach s {q p} {
            if {$f($s,want) eq ""} { continue }
            set f($s,want) [expr {$::flow::config(release) eq "fires" ? 0 : ""}]
            ::after idle [list ::flow::go_on $f(id)]
        }
        return
    }
    proc go_on {id} {
        if {[info exists ::flow::f${id}(id)]} { advance $id }
    }

    # What came of the answer is not for the client; the request is sent again, and fires its events again
    # (::tables::page HTTP::retry).
    proc retry {request} {
        upvar #0 ::flow::f$::tmm::flow f
        if {!$f(q,ended)} { return -code error "HTTP::retry before the end of the request is not emulated" }
        set f(retry) $request
    }

    proc close_after {} {
        upvar #0 ::flow::f$::tmm::flow f
        set f(after_close) 1
    }
    proc reject {} {
        upvar #0 ::flow::f$::tmm::flow f
        set f(dead) 1
        incr ::flow::counters(resets)
    }
    proc pool {name} {
        if {$name ne $::flow::config(pool)} { return -code error "pool $name: there is only $::flow::config(pool)" }
    }
    proc switch_event {name how} {
        upvar #0 ::flow::f$::tmm::flow f
        switch -- $how {
            disable { lappend f(off) $name }
            enable { set f(off) [lsearch -all -inline -not -exact $f(off) $name] }
            default { return -code error "event: enable or disable" }
        }
    }

    proc set_timer {ms script periodic} {
        upvar #0 ::flow::f$::tmm::flow f
        set name after#[incr ::flow::timer]
        set context [list $f(tmm) $f(id) $::tmm::event $::tmm::rule $script $f(stream)]
        lappend f(timers) $name [::after $ms [list ::flow::timer_fires $name $ms $context $periodic]]
        return $name
    }
    proc timer_fires {name ms context periodic} {
        lassign $context tmm id event rule script ns
        upvar #0 ::flow::f$id f
        if {![info exists f(id)]} { return }
        dict unset f(timers) $name
        if {$periodic} { dict set f(timers) $name [::after $ms [list ::flow::timer_fires $name $ms $context 1]] }
        if {![::tmm::later $tmm $id $event $rule $script $ns]} { reset $id; return }
        if {[info exists f(id)] && $f(dead)} { finish $id }
    }
    proc cancel_timer {name} {
        upvar #0 ::flow::f$::tmm::flow f
        if {[dict exists $f(timers) $name]} {
            ::after cancel [dict get $f(timers) $name]
            dict unset f(timers) $name
        }
        return
    }
    proc timers {} {
        upvar #0 ::flow::f$::tmm::flow f
        dict keys $f(timers)
    }
}
