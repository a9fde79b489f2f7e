# High-speed logging: what HSL::send gives to the log pool, over real sockets, with faults on demand.
#
# In: records of the rules, which TMM sends them. Out: the bytes, on TCP connections of each TMM's own or as datagrams; 1 or 0 to the
# rule. As F5's page has it (https://clouddocs.f5.com/api/irules/HSL__send.html): nothing is formatted, nothing tells
# whether it arrived, order is not kept, a TMM may have several connections. Never waits: what does not fit is refused.

namespace eval ::hsl {
    # pool -> {host port}
    variable pools
    array set pools {}
    # What a TMM may have waiting, in bytes; connections per TMM.
    variable limit 8388608
    variable width 1
    # handle -> {tmm proto pool}
    variable handles
    array set handles {}
    variable next 0
    # tmm,pool,n -> channel; when one failed, until when (ms) nothing is tried, and how long that is.
    variable channels
    array set channels {}
    variable resting
    array set resting {}
    variable rest 100
    variable turn
    array set turn {}
    variable counters
    array set counters {sends 0 bytes 0 refused 0 lost 0 doubled 0 cut 0 delayed 0 reordered 0 broken 0 connections 0}
    # fault -> {next n} or {every n}; how often it was asked; a record that waits for the one after it.
    variable faults
    array set faults {}
    variable asked
    array set asked {}
    variable waiting
    array set waiting {}
    variable delay 50
    # The last record that was cut or forged from is kept, so that tests can replay it.
    variable last ""

    proc open_handle {tmm proto pool} {
        variable pools
        variable handles
        variable next
        if {$proto ni {TCP UDP}} { return -code error "HSL::open: protocol $proto: must be TCP or UDP" }
        if {![info exists pools([plain $pool])]} { return -code error "HSL::open: pool $pool does not exist" }
        foreach {handle one} [array get handles] {
            if {$one eq [list $tmm $proto [plain $pool]]} { return $handle }
        }
        set handle hsl[incr next]
        set handles($handle) [list $tmm $proto [plain $pool]]
        return $handle
    }
    proc plain {pool} { string map {/Common/ ""} $pool }

    # Shall this fault strike now?
    proc strikes {fault} {
        variable faults
        variable asked
        if {![info exists faults($fault)]} { return 0 }
        lassign $faults($fault) how n
        if {$how eq "next"} {
            if {$n <= 1} { unset faults($fault) } else { set faults($fault) [list next [expr {$n - 1}]] }
            return 1
        }
        if {![info exists asked($fault)]} { set asked($fault) 0 }
        return [expr {[incr asked($fault)] % $n == 0}]
    }

    proc send {tmm handle data} {
        variable handles
        variable counters
        variable last
        if {![info exists handles($handle)] || [lindex $handles($handle) 0] != $tmm} {
            ::tmm::violation "HSL::send with a handle that HSL::open has not given on this TMM: [::tables::page HSL::send]"
            return -code error "HSL::send: invalid handle $handle"
        }
        incr counters(sends)
        incr counters(bytes) [string length $data]
        set last $data
        lassign $handles($handle) _ proto pool
        if {[strikes refuse]} { incr counters(refused); return 0 }
        if {[strikes lose]} { incr counters(lost); return 1 }
        if {[strikes cut]} {
            incr counters(cut)
            return [cut $tmm $proto $pool $data]
        }
        if {[strikes delay]} {
            incr counters(delayed)
            variable delay
            ::after $delay [list ::hsl::write $tmm $proto $pool $data]
            return 1
        }
        if {[strikes reorder]} {
            incr counters(reordered)
            variable waiting
            lappend waiting($tmm,$proto,$pool) $data
            return 1
        }
        set times 1
        if {[strikes double]} {
            incr counters(doubled)
            set times 2
        }
        for {set n 0} {$n < $times} {incr n} { set sent [write $tmm $proto $pool $data] }
        variable waiting
        if {$sent && [info exists waiting($tmm,$proto,$pool)]} {
            foreach late $waiting($tmm,$proto,$pool) { write $tmm $proto $pool $late }
            unset waiting($tmm,$proto,$pool)
        }
        return $sent
    }

    # 1 when it is on its way.
    proc write {tmm proto pool data} {
        variable counters
        variable limit
        set channel [channel $tmm $proto $pool]
        if {$channel eq ""} { incr counters(refused); return 0 }
        if {$proto eq "UDP" && [string length $data] > 65507} { incr counters(refused); return 0 }
        if {[chan pending output $channel] > $limit} { incr counters(refused); return 0 }
        if {[catch {
            puts -nonewline $channel $data
            flush $channel
        }]} {
            # A datagram nobody takes is lost; a connection is gone with what was on it.
            if {$proto eq "UDP"} { incr counters(lost); return 1 }
            broken $channel
            incr counters(refused)
            return 0
        }
        return 1
    }

    # Half of a record, then the connection ends. What was written before it has arrived.
    proc cut {tmm proto pool data} {
        variable channels
        set channel [channel $tmm $proto $pool]
        if {$channel eq ""} { return 0 }
        set half [string range $data 0 [expr {[string length $data] / 2}]]
        catch {
            puts -nonewline $channel $half
            flush $channel
        }
        if {$proto eq "TCP"} { forget $channel }
        return 1
    }

    proc channel {tmm proto pool} {
        variable channels
        variable pools
        variable resting
        variable rest
        variable turn
        variable width
        variable counters
        if {![info exists turn($tmm,$pool)]} { set turn($tmm,$pool) 0 }
        set n [expr {[incr turn($tmm,$pool)] % $width}]
        set key $tmm,$proto,$pool,$n
        if {[info exists channels($key)]} { return $channels($key) }
        if {[info exists resting($key)] && [clock milliseconds] < $resting($key)} { return "" }
        if {$proto eq "UDP"} {
            package require udp
            set channel [udp_open]
            fconfigure $channel -blocking 0 -translation binary -buffering none -remote $pools($pool)
        } else {
            if {[catch { socket -async {*}$pools($pool) } channel]} {
                set resting($key) [expr {[clock milliseconds] + $rest}]
                return ""
            }
            fconfigure $channel -blocking 0 -translation binary -buffering full -buffersize 65536
            # A collector never speaks: what can be read is the end.
            fileevent $channel readable [list ::hsl::readable $channel]
            incr counters(connections)
        }
        set channels($key) $channel
        return $channel
    }

    proc readable {channel} {
        if {[catch { read $channel 4096 } bytes] || [eof $channel]} { broken $channel }
    }

    proc forget {channel} {
        variable channels
        foreach {key one} [array get channels] {
            if {$one eq $channel} { unset channels($key) }
        }
        catch { close $channel }
    }
    proc broken {channel} {
        variable channels
        variable resting
        variable rest
        variable counters
        incr counters(broken)
        foreach {key one} [array get channels] {
            if {$one eq $channel} { set resting($key) [expr {[clock milliseconds] + $rest}] }
        }
        forget $channel
    }

    # Bytes that no rule has sent, on a connection of their own: forged or replayed records.
    proc inject {pool bytes} {
        variable pools
        set channel [socket {*}$pools([plain $pool])]
        fconfigure $channel -translation binary
        puts -nonewline $channel $bytes
        close $channel
    }
}
