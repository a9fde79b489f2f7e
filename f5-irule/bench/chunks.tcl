# Chunked transfer coding (RFC 9112, section 7.1), read piece by piece.
#
# In: a state, bytes as they come. Out: how many of them belong to the body, and what they say. Never holds more than a size line or
# a trailer line back.

namespace eval ::chunks {
    # A body that has just begun.
    proc begin {} { return {size 0} }
    # Has it ended?
    proc ended {state} { expr {[lindex $state 0] eq "end"} }

    # Reads on in `bytes`: the number of bytes consumed; what they carry is appended to `plain`. An error when they are no
    # chunks.
    proc feed {stateName bytes plainName} {
        upvar 1 $stateName state $plainName plain
        lassign $state what left
        set at 0
        set end [string length $bytes]
        while {$at < $end && $what ne "end"} {
            switch -- $what {
                size {
                    set stop [string first \n $bytes $at]
                    if {$stop < 0} {
                        if {$end - $at > 4096} { return -code error "a chunk's size line without an end" }
                        break
                    }
                    set line [string range $bytes $at [expr {$stop - 1}]]
                    if {![regexp {^([0-9a-fA-F]{1,15})[ \t]*(;.*)?\r?$} $line _ digits]} { return -code error "not a chunk's size: $line" }
                    scan $digits %llx left
                    set what [expr {$left == 0 ? "trailer" : "data"}]
                    set at [expr {$stop + 1}]
                }
                data {
                    set take [expr {min($left, $end - $at)}]
                    append plain [string range $bytes $at [expr {$at + $take - 1}]]
                    incr at $take
                    incr left -$take
                    if {$left == 0} { set what after }
                }
                after {
                    set stop [string first \n $bytes $at]
                    if {$stop < 0} {
                        if {$end - $at > 1} { return -code error "a chunk longer than its size" }
                        break
                    }
                    if {[string trim [string range $bytes $at $stop]] ne ""} { return -code error "a chunk longer than its size" }
                    set at [expr {$stop + 1}]
                    set what size
                }
                trailer {
                    set stop [string first \n $bytes $at]
                    if {$stop < 0} {
                        if {$end - $at > 16384} { return -code error "a trailer line without an end" }
                        break
                    }
                    if {[string trim [string range $bytes $at $stop] "\r\n"] eq ""} { set what end }
                    set at [expr {$stop + 1}]
                }
            }
        }
        set state [list $what $left]
        return $at
    }
}
