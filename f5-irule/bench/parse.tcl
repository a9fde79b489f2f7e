# Tcl's syntax, read without running it.
#
# In: the text of a script or an expression. Out: its commands and words, the variables and nested scripts in them, each with
# the offset at which it begins. Never evaluates anything; what cannot be read is an error that says where.
#
# A command is a list of words; a word is {kind text offset parts}: kind `brace`, `quote` or `bare`; text without braces or quotes;
# parts what is substituted in it: {var name offset} and {script text offset}. A word without parts is literal.

namespace eval ::parse {

    proc fail {at what} { return -code error -errorcode [list PARSE $at] $what }

    # The commands of a script, and its comments: {commands comments}; a comment is {text offset}.
    proc script {text {base 0}} {
        set commands {}
        set comments {}
        set at 0
        set end [string length $text]
        while {$at < $end} {
            set c [string index $text $at]
            if {$c in {" " "\t" "\r" "\n" ";"}} { incr at; continue }
            if {$c eq "#"} {
                set stop [string first \n $text $at]
                if {$stop < 0} { set stop $end }
                lappend comments [list [string range $text $at [expr {$stop - 1}]] [expr {$base + $at}]]
                set at $stop
                continue
            }
            lassign [command $text $at $base ""] words at
            lappend commands $words
        }
        return [list $commands $comments]
    }

    # One command from `at` to its end, or to `closing`: {words next}.
    proc command {text at base closing} {
        set words {}
        set end [string length $text]
        while {$at < $end} {
            set c [string index $text $at]
            if {$c in {" " "\t" "\r"}} { incr at; continue }
            if {$c in {"\n" ";"}} { return [list $words [incr at]] }
            if {$closing ne "" && $c eq $closing} { return [list $words $at] }
            lassign [word $text $at $base $closing] word at
            lappend words $word
        }
        return [list $words $at]
    }

    proc word {text at base closing} {
        set c [string index $text $at]
        if {$c eq "\{"} {
            set stop [braced $text $at $base]
            set inner [string range $text [expr {$at + 1}] [expr {$stop - 1}]]
            set next [expr {$stop + 1}]
            if {$inner eq "*" && $next < [string length $text] && ![string is space [string index $text $next]]
                && [string index $text $next] ne ";"} {
                fail [expr {$base + $at}] "{*} is Tcl 8.5"
            }
            ends $text $next $base $closing "close-brace"
            return [list [list brace $inner [expr {$base + $at + 1}] {}] $next]
        }
        if {$c eq "\""} {
            lassign [substituted $text [expr {$at + 1}] $base "\""] parts stop
            if {[string index $text $stop] ne "\""} { fail [expr {$base + $at}] "missing \"" }
            set inner [string range $text [expr {$at + 1}] [expr {$stop - 1}]]
            incr stop
            ends $text $stop $base $closing "close-quote"
            return [list [list quote $inner [expr {$base + $at + 1}] $parts] $stop]
        }
        lassign [substituted $text $at $base "bare$closing"] parts stop
        return [list [list bare [string range $text $at [expr {$stop - 1}]] [expr {$base + $at}] $parts] $stop]
    }

    proc ends {text at base closing what} {
        set c [string index $text $at]
        if {$c eq "" || [string is space $c] || $c eq ";" || ($closing ne "" && $c eq $closing)} { return }
        fail [expr {$base + $at}] "extra characters after $what"
    }

    # The offset of the brace that closes the one at `at`.
    proc braced {text at base} {
        set depth 0
        set from $at
        while {[regexp -indices -start $from {[\\{}]} $text found]} {
            set here [lindex $found 0]
            switch -- [string index $text $here] {
                "\\" { incr here }
                "\{" { incr depth }
                "\}" { if {[incr depth -1] == 0} { return $here } }
            }
            set from [expr {$here + 1}]
        }
        fail [expr {$base + $at}] "missing close-brace"
    }

    # What is substituted from `at` on until the word ends: {parts next}. `kind`: `"` up to a quote, `bare` up to a blank or the
    # end of the command, `bare]` also up to a bracket, empty: up to the end of the text.
    proc substituted {text at base kind} {
        set parts {}
        set end [string length $text]
        while {$at < $end} {
            set c [string index $text $at]
            switch -- $c {
                "\\" { incr at 2; continue }
                "\[" {
                    lassign [bracketed $text $at $base] inner next
                    lappend parts [list script $inner [expr {$base + $at + 1}]]
                    set at $next
                    continue
                }
                "$" {
                    lassign [dollar $text $at $base] part more next
                    if {$part ne ""} {
                        lappend parts $part {*}$more
                        set at $next
                        continue
                    }
                }
                "\"" { if {$kind eq "\""} { return [list $parts $at] } }
                " " - "\t" - "\r" - "\n" - ";" { if {[string match bare* $kind]} { return [list $parts $at] } }
                "\]" { if {$kind eq "bare\]"} { return [list $parts $at] } }
            }
            incr at
        }
        return [list $parts $at]
    }

    # The script in brackets that begin at `at`: {text next}.
    proc bracketed {text at base} {
        set from [expr {$at + 1}]
        set here $from
        set end [string length $text]
        while {1} {
            while {$here < $end && [string index $text $here] in {" " "\t" "\r" "\n" ";"}} { incr here }
            if {$here >= $end} { fail [expr {$base + $at}] "missing close-bracket" }
            if {[string index $text $here] eq "\]"} {
                return [list [string range $text $from [expr {$here - 1}]] [expr {$here + 1}]]
            }
            lassign [command $text $here $base "\]"] words here
        }
    }

    # The variable at the dollar sign `at`: {part parts-of-its-index next}, or an empty part when it is only a dollar sign.
    proc dollar {text at base} {
        set from [expr {$at + 1}]
        if {[string index $text $from] eq "\{"} {
            set stop [string first "\}" $text $from]
            if {$stop < 0} { fail [expr {$base + $at}] "missing close-brace for variable name" }
            set name [string range $text [expr {$from + 1}] [expr {$stop - 1}]]
            return [list [list var $name [expr {$base + $at}]] {} [expr {$stop + 1}]]
        }
        if {![regexp -start $from {\A(?:[A-Za-z0-9_]|::+)+} $text name]} { return [list {} {} $at] }
        set next [expr {$from + [string length $name]}]
        set more {}
        if {[string index $text $next] eq "("} {
            set here [expr {$next + 1}]
            set end [string length $text]
            while {$here < $end && [string index $text $here] ne ")"} {
                switch -- [string index $text $here] {
                    "\\" { incr here 2 }
                    "\[" {
                        set begin $here
                        lassign [bracketed $text $here $base] inner here
                        lappend more [list script $inner [expr {$base + $begin + 1}]]
                    }
                    "$" {
                        lassign [dollar $text $here $base] part deeper there
                        if {$part eq ""} { incr here } else {
                            lappend more $part {*}$deeper
                            set here $there
                        }
                    }
                    default { incr here }
                }
            }
            if {$here >= $end} { fail [expr {$base + $at}] "missing )" }
            set next [expr {$here + 1}]
        }
        return [list [list var $name [expr {$base + $at}]] $more $next]
    }

    # What is in an expression: {parts words}; a word is {text offset called}: a bare word, and whether ( follows; operators
    # made of signs that Tcl 8.4 does not have are words too.
    proc expression {text {base 0}} {
        set parts {}
        set words {}
        set at 0
        set end [string length $text]
        while {$at < $end} {
            set c [string index $text $at]
            switch -- $c {
                "\\" { incr at 2; continue }
                "\[" {
                    lassign [bracketed $text $at $base] inner next
                    lappend parts [list script $inner [expr {$base + $at + 1}]]
                    set at $next
                    continue
                }
                "$" {
                    lassign [dollar $text $at $base] part more next
                    if {$part eq ""} { fail [expr {$base + $at}] "a dollar sign without a name" }
                    lappend parts $part {*}$more
                    set at $next
                    continue
                }
                "\"" {
                    lassign [substituted $text [expr {$at + 1}] $base "\""] more stop
                    if {[string index $text $stop] ne "\""} { fail [expr {$base + $at}] "missing \"" }
                    lappend parts {*}$more
                    set at [expr {$stop + 1}]
                    continue
                }
                "\{" {
                    set at [expr {[braced $text $at $base] + 1}]
                    continue
                }
                "#" { fail [expr {$base + $at}] "a comment in an expression is Tcl 9" }
            }
            if {[regexp -start $at {\A\*\*} $text]} {
                lappend words [list ** [expr {$base + $at}] 0]
                incr at 2
                continue
            }
            # Numbers first: 1e3 and 0x1f are no words.
            if {[regexp -start $at {\A(?:0[xX][0-9a-fA-F]+|[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|\.[0-9]+)} $text number]} {
                incr at [string length $number]
                continue
            }
            if {[regexp -start $at {\A[A-Za-z_][A-Za-z0-9_]*} $text word]} {
                set next [expr {$at + [string length $word]}]
                set called [regexp -start $next {\A\s*\(} $text]
                lappend words [list $word [expr {$base + $at}] $called]
                set at $next
                continue
            }
            incr at
        }
        return [list $parts $words]
    }
}
