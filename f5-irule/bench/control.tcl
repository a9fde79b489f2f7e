# The control connection: what tests change and ask while the bench runs.
#
# In: one command per line. Out: one line per command: JSON, or `error: …`. Never answers before what was asked is done.
#
#   set GROUP NAME VALUE | unset GROUP NAME | replace GROUP {NAME VALUE …} | drop GROUP     data-groups
#   hsl FAULT next N | hsl FAULT every N | hsl off    faults: refuse lose double cut delay reorder
#   inject POOL HEX      bytes to the log pool that no rule has sent; last: the last record of a rule, in hexadecimal
#   forward SECONDS      the rules' clock
#   static NAME          a static:: variable's value on each TMM
#   stats | violations | handlers

namespace eval ::control {
    proc accept {channel address port} {
        fconfigure $channel -blocking 0 -translation lf -buffering line -encoding utf-8
        fileevent $channel readable [list ::control::line $channel]
    }

    proc line {channel} {
        if {[gets $channel text] < 0} {
            if {[eof $channel]} { close $channel }
            return
        }
        if {[catch { ::control::run {*}$text } answer]} { set answer "error: [string map {\n " "} $answer]" }
        puts $channel $answer
    }

    proc json {text} {
        set out ""
        foreach c [split $text ""] {
            scan $c %c code
            if {$c in {"\"" "\\"}} { append out \\$c } elseif {$code < 32 || $code > 126} { append out [format \\u%04x $code] } else { append out $c }
        }
        return "\"$out\""
    }
    proc object {pairs} {
        set members {}
        foreach {name value} $pairs { lappend members "[json $name]: $value" }
        return "{[join $members {, }]}"
    }

    proc run {command args} {
        switch -- $command {
            set {
                lassign $args group name value
                set kept [lsearch -all -inline -not -exact -index 0 [known $group] $name]
                set ::commands::groups($group) [concat $kept [list [list $name $value]]]
            }
            unset {
                lassign $args group name
                set ::commands::groups($group) [lsearch -all -inline -not -exact -index 0 [known $group] $name]
            }
            replace {
                lassign $args group pairs
                set ::commands::groups($group) {}
                foreach {name value} $pairs { lappend ::commands::groups($group) [list $name $value] }
            }
            drop { unset -nocomplain ::commands::groups([lindex $args 0]) }
            hsl {
                lassign $args fault how n
                if {$fault eq "off"} {
                    array unset ::hsl::faults
                } elseif {$fault ni {refuse lose double cut delay reorder} || $how ni {next every} || ![string is integer -strict $n] || $n < 1} {
                    error "hsl: refuse, lose, double, cut, delay or reorder, then next or every, then a number"
                } else {
                    set ::hsl::asked($fault) 0
                    set ::hsl::faults($fault) [list $how $n]
                }
            }
            inject { ::hsl::inject [lindex $args 0] [binary decode hex [lindex $args 1]] }
            last { return [json [binary encode hex $::hsl::last]] }
            forward { incr ::commands::ahead [lindex $args 0] }
            static {
                set values {}
                for {set tmm 0} {$tmm < $::tmm::count} {incr tmm} {
                    lappend values [json [interp eval tmm$tmm [list set ::static::[lindex $args 0]]]]
                }
                return "\[[join $values {, }]\]"
            }
            stats {
                set pairs [list errors $::tmm::errors log_lines $::tmm::spoken violations [array size ::tmm::violations]]
                foreach {name value} [array get ::flow::counters] { lappend pairs $name $value }
                foreach {name value} [array get ::hsl::counters] { lappend pairs hsl_$name $value }
                return [object $pairs]
            }
            violations {
                set pairs {}
                foreach {name value} [array get ::tmm::violations] { lappend pairs $name $value }
                return [object $pairs]
            }
            default { error "unknown command $command" }
        }
        return "{}"
    }

    proc known {group} {
        if {[info exists ::commands::groups($group)]} { return $::commands::groups($group) }
    }
}
