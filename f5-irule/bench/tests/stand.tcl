# What the tests stand on: the bench's parts in this process, an origin that is a few lines of Tcl, clients on real sockets.
#
# In: a rule's text, what the origin answers. Out: what clients got, what the rule has left in static::. Nothing waits for
# longer than a minute.

package require tcltest 2
namespace import -force ::tcltest::test ::tcltest::cleanupTests
package require tcllibc
set bench [file dirname [file dirname [file normalize [info script]]]]
foreach part {tables parse check message chunks tmm commands flow compress answers context hsl control} { source [file join $bench $part.tcl] }

namespace eval ::stand {
    variable server ""
    variable origin ""
    variable log ""
    # What the origin got, and the log pool, since the last start.
    variable received ""
    variable records ""
    variable answer ""
    variable closes 0
    variable pristine [list [array get ::flow::config] [array get ::flow::counters] [array get ::hsl::counters]]

    # Loads a rule and opens the virtual server; options: those of ::flow::config, and tmms, tls, pool (the log pool's name).
    proc start {rules args} {
        variable server
        variable origin
        variable pristine
        variable received ""
        variable records ""
        stop
        lassign $pristine config counters hsl
        array unset ::flow::cached
        array unset ::flow::idle
        array unset ::flow::config
        array set ::flow::config $config
        array set ::flow::counters $counters
        array set ::hsl::counters $hsl
        array unset ::hsl::handles
        array unset ::hsl::channels
        array unset ::hsl::resting
        array unset ::hsl::waiting
        array unset ::hsl::faults
        array unset ::commands::groups
        set ::commands::tls ""
        set ::commands::ahead 0
        set ::commands::http2 0
        set ::tmm::errors 0
        set ::hsl::width 1
        set ::hsl::rest 100
        set tmms 1
        foreach {name value} $args {
            switch -- $name {
                tmms { set tmms $value }
                tls { set ::commands::tls $value }
                http2 {
                    set ::commands::http2 $value
                    set ::flow::config(http2) $value
                }
                default { set ::flow::config($name) $value }
            }
        }
        if {[llength $rules] == 1} { set rules [list [list /Common/test [lindex $rules 0]]] }
        ::tmm::start $tmms $rules 16.1.4 {osVersion 16.1.4 machine bigip-1.example.com}
        if {$origin eq ""} {
            set origin [socket -server ::stand::origin_accepts -myaddr 127.0.0.1 0]
            variable log [socket -server ::stand::log_accepts -myaddr 127.0.0.1 0]
        }
        if {"origin" ni $args} { set ::flow::config(origin) [list 127.0.0.1 [lindex [fconfigure $origin -sockname] 2]] }
        set ::hsl::pools(logs) [list 127.0.0.1 [lindex [fconfigure $::stand::log -sockname] 2]]
        set server [socket -server ::flow::accept -myaddr 127.0.0.1 0]
    }
    proc stop {} {
        variable server
        if {$server ne ""} { close $server }
        set server ""
        foreach name [info vars ::flow::f*] {
            if {[regexp {^::flow::f([0-9]+)$} $name _ id]} { ::flow::finish $id }
        }
        ::tmm::stop
    }

    proc origin_accepts {channel address port} {
        fconfigure $channel -blocking 0 -translation binary
        fileevent $channel readable [list ::stand::origin_reads $channel]
    }
    # `answer` is a script: channel and all bytes of this connection so far are its variables.
    proc origin_reads {channel} {
        variable received
        variable answer
        variable got
        variable closes
        set bytes [read $channel]
        append received $bytes
        append got($channel) $bytes
        if {[eof $channel]} {
            incr closes
            close $channel
            return
        }
        apply [list {channel bytes} $answer ::stand] $channel $got($channel)
    }
    # For answers: a whole response each time the request's head is there.
    proc reply {channel body args} {
        variable got
        if {![string match "*\r\n\r\n*" $got($channel)]} { return }
        set got($channel) ""
        set head "HTTP/1.1 200 OK\r\nContent-Length: [string length $body]\r\n"
        foreach {name value} $args { append head "$name: $value\r\n" }
        puts -nonewline $channel $head\r\n$body
        flush $channel
    }
    proc say {channel bytes} {
        puts -nonewline $channel $bytes
        flush $channel
    }

    proc log_accepts {channel address port} {
        fconfigure $channel -blocking 0 -translation binary
        fileevent $channel readable [list ::stand::log_reads $channel]
    }
    proc log_reads {channel} {
        variable records
        append records [read $channel]
        if {[eof $channel]} {
            append records <end>
            close $channel
        }
    }

    # Waits until an expression is true (in the caller's frame); 0 after a minute.
    proc until {condition} {
        set deadline [expr {[clock milliseconds] + 60000}]
        while {![uplevel 1 [list expr $condition]]} {
            if {[clock milliseconds] > $deadline} { return 0 }
            after 5 {set ::stand::tick 1}
            vwait ::stand::tick
        }
        return 1
    }

    # What the proxy keeps of the last connection, by name; empty when it is gone.
    proc of_flow {name} {
        set field ::flow::f${::flow::next}($name)
        if {[info exists $field]} { return [set $field] }
    }
    # Has the time come that its timers wait for: now.
    proc run_out {} {
        foreach {name token} [of_flow timers] {
            set script [lindex [after info $token] 0]
            after cancel $token
            uplevel #0 $script
        }
    }

    proc connect {} {
        variable server
        variable heard
        set channel [socket 127.0.0.1 [lindex [fconfigure $server -sockname] 2]]
        fconfigure $channel -blocking 0 -translation binary -buffering none
        set heard($channel) ""
        fileevent $channel readable [list ::stand::hear $channel]
        return $channel
    }
    proc hear {channel} {
        variable heard
        if {[catch { read $channel } bytes]} { set bytes "" ; set over 1 } else { set over [eof $channel] }
        append heard($channel) $bytes
        if {$over} {
            append heard($channel) <end>
            fileevent $channel readable {}
        }
    }
    proc heard {channel} { return $::stand::heard($channel) }
    proc send {channel bytes} {
        puts -nonewline $channel $bytes
        flush $channel
    }
    # Sends bytes on a new connection, waits until what comes back matches, and closes.
    proc talk {bytes {pattern "*<end>"}} {
        set channel [connect]
        send $channel $bytes
        if {![until {[string match $pattern [::stand::heard $channel]]}]} { append ::stand::heard($channel) <waited in vain> }
        set heard [heard $channel]
        close $channel
        return $heard
    }
    proc get {path args} {
        set head "GET $path HTTP/1.1\r\nHost: t.example\r\nConnection: close\r\n"
        foreach {name value} $args { append head "$name: $value\r\n" }
        return [talk $head\r\n]
    }
    # A static:: variable on a TMM.
    proc static {name {tmm 0}} {
        if {[interp eval tmm$tmm [list info exists ::static::$name]]} { return [interp eval tmm$tmm [list set ::static::$name]] }
    }
    # The body of a whole response.
    proc body {response} { string map {<end> ""} [string range $response [expr {[string first \r\n\r\n $response] + 4}] end] }
    proc violations {} { lsort [array names ::tmm::violations] }
}
