# What BIG-IP refuses of a rule, found without running it.
#
# In: the text of a rule, the TMOS version. Out: a list of faults, each {line message}, empty when the rule would load; and what
# the interpreters need to know of it: its events, procs and variables. Walks every nested script and expression, whether it
# would ever run or not. Never runs anything of the rule.
#
# Stricter than BIG-IP where BIG-IP fails only when the line is reached, or where nobody can tell from the text: scripts and
# expressions must be literal, an option must be literal, what is not in ::tables is refused.

namespace eval ::check {
    variable version 16.1.4
    # Faults so far, the event or proc walked, what each of them runs, what procs call.
    variable faults {}
    variable place ""
    variable text ""
    variable used
    variable calls
    variable variables
    variable opens 0

    # Checks a rule: {faults events procs variables}. events: list of {event priority body}; procs: list of {name args body};
    # variables: the names of variables that live on a connection.
    proc rule {source {tmos 16.1.4}} {
        variable version $tmos
        variable faults {}
        variable text $source
        variable used
        variable calls
        variable variables
        variable opens 0
        array unset used
        array unset calls
        array unset variables
        bytes $source
        set events {}
        set procs {}
        if {[catch {::parse::script $source} parsed options]} {
            broken $parsed $options
            return [list $faults {} {} {}]
        }
        lassign $parsed commands comments
        comments $comments
        set default 500
        foreach words $commands {
            set head [literal [lindex $words 0]]
            switch -- $head {
                when {
                    set found [event $words $default]
                    if {$found ne ""} { lappend events $found }
                }
                proc {
                    set found [procedure $words]
                    if {$found ne ""} { lappend procs $found }
                }
                priority {
                    set default [literal [lindex $words 1]]
                    if {![string is integer -strict $default] || $default < 0 || $default > 1000} {
                        fault [lindex $words 1 2] "priority $default: must be 0 to 1000"
                    }
                }
                timing {}
                default { fault [lindex $words 0 2] "$head: outside of `when` and `proc` only `priority` and `timing` may stand" }
            }
        }
        if {![llength $events]} { fault 0 "the rule has no event" }
        reach $events
        return [list [lsort -unique -index 0 -integer [lsort -index 1 $faults]] $events $procs [lsort [array names variables]]]
    }

    # The faults alone, each as one line of text.
    proc messages {source {tmos 16.1.4}} {
        set out {}
        foreach fault [all $source $tmos] { lappend out "line [lindex $fault 0]: [lindex $fault 1]" }
        return $out
    }

    proc all {source tmos} {
        variable faults
        rule $source $tmos
        return [lsort -integer -index 0 [lsort -unique $faults]]
    }

    proc fault {at message} {
        variable faults
        variable text
        set line [expr {[regexp -all -- \n [string range $text 0 [expr {$at - 1}]]] + 1}]
        lappend faults [list $line $message]
    }

    proc broken {message options} {
        set code [dict get $options -errorcode]
        if {[lindex $code 0] ne "PARSE"} { return -options $options $message }
        fault [lindex $code 1] $message
    }

    # What a rule may consist of at all.
    proc bytes {source} {
        set at -1
        if {[regexp -indices {[^\x09\x0a\x0d\x20-\x7e]} $source found]} {
            set at [lindex $found 0]
            fault $at "a character that is not ASCII (U+[format %04X [scan [string index $source $at] %c]]): the rule would not\
                load on every version"
        }
        foreach found [regexp -all -inline -indices {\\\r?\n} $source] {
            fault [lindex $found 0] "a backslash at the end of a line: not every way to install a rule keeps it"
        }
    }

    # Tcl counts braces in comments too.
    proc comments {comments} {
        foreach comment $comments {
            lassign $comment line at
            set depth 0
            foreach brace [regexp -all -inline {[{}]} $line] {
                incr depth [expr {$brace eq "\{" ? 1 : -1}]
                if {$depth < 0} { break }
            }
            if {$depth != 0} { fault $at "a comment with unbalanced braces" }
        }
    }

    # The text of a word in which nothing is substituted, else empty.
    proc literal {word} {
        if {[llength [lindex $word 3]]} { return "" }
        lindex $word 1
    }

    proc is_literal {word} { expr {![llength [lindex $word 3]]} }

    proc event {words default} {
        variable place
        set name [literal [lindex $words 1]]
        set at [lindex $words 1 2]
        if {![info exists ::tables::side($name)]} {
            fault $at "$name is not an event the bench knows"
            return ""
        }
        set priority $default
        set rest [lrange $words 2 end-1]
        foreach {option value} $rest {
            switch -- [literal $option] {
                priority { set priority [literal $value] }
                timing {}
                default { fault [lindex $option 2] "when $name [literal $option]: only `priority` and `timing` may stand there" }
            }
        }
        if {![string is integer -strict $priority] || $priority < 0 || $priority > 1000} {
            fault $at "priority $priority: must be 0 to 1000"
        }
        set body [lindex $words end]
        if {[lindex $body 0] ne "brace"} {
            fault $at "when $name: its script must be in braces"
            return ""
        }
        set place $name
        script $body
        return [list $name $priority [lindex $body 1]]
    }

    proc procedure {words} {
        variable place
        variable version
        set at [lindex $words 0 2]
        if {[llength $words] != 4} {
            fault $at "proc: must be `proc name arguments body`"
            return ""
        }
        if {![::tables::as_new $version 11.4]} { fault $at "proc is there since TMOS 11.4" }
        set name [literal [lindex $words 1]]
        set place [list proc $name]
        script [lindex $words 3]
        return [list $name [literal [lindex $words 2]] [literal [lindex $words 3]]]
    }

    # A word that is a script.
    proc script {word} {
        if {![is_literal $word]} {
            fault [lindex $word 2] "a script that is not literal cannot be checked"
            return
        }
        inside [lindex $word 1] [lindex $word 2]
    }

    proc inside {text at} {
        if {[catch {::parse::script $text $at} parsed options]} {
            broken $parsed $options
            return
        }
        comments [lindex $parsed 1]
        foreach words [lindex $parsed 0] { command $words }
    }

    proc parts {parts} {
        foreach part $parts {
            lassign $part kind text at
            if {$kind eq "script"} { inside $text $at } else { name $text $at read }
        }
    }

    # A variable's name as it stands in the rule.
    proc name {name at how} {
        variable place
        variable variables
        regsub {\(.*\)$} $name "" name
        if {[string match ::* $name] && ![string match ::static::* $name]} {
            fault $at "$name is a global variable: the virtual server would run on one TMM only (static:: does not)"
        } elseif {[string match *::* $name]} {
            if {![string match static::* [string trimleft $name :]]} { fault $at "$name: the only namespace of variables is static::" }
        } elseif {$place eq "RULE_INIT"} {
            if {$how ne "read"} {
                fault $at "$name set in RULE_INIT is a global variable ([::tables::page RULE_INIT]): static:: is not"
            }
        } elseif {[llength $place] == 1} {
            set variables($name) 1
        }
    }

    # A word that names a variable to be written.
    proc target {word} {
        if {$word eq ""} { return }
        lassign $word kind text at parts
        if {[llength $parts]} {
            # static::sil_$name is fine, ${prefix}name is not: the bench could not follow it from event to event.
            if {![string match static::* $text] && ![string match ::static::* $text]
                && ![regexp {^[A-Za-z_][A-Za-z0-9_]*\(} $text]} {
                fault $at "a variable whose name is not literal"
                return
            }
        }
        if {[string match static::* $text] || [string match ::static::* $text]} { return }
        name $text $at write
    }

    proc command {words} {
        variable place
        foreach word $words { parts [lindex $word 3] }
        set first [lindex $words 0]
        set at [lindex $first 2]
        set name [literal $first]
        if {$name eq ""} {
            fault $at "a command whose name is not literal"
            return
        }
        set name [string trimleft $name :]
        if {[info exists ::tables::core($name)]} {
            core $name $words $at
        } elseif {[info exists ::tables::row($name)]} {
            irules $name $words $at
        } elseif {[info exists ::tables::newer($name)]} {
            fault $at "$name is Tcl $::tables::newer($name); iRules have 8.4.6"
        } elseif {$name in $::tables::disabled} {
            fault $at "$name is disabled in iRules (https://clouddocs.f5.com/api/irules/Commands.html)"
        } elseif {$name in $::tables::unchecked} {
            fault $at "$name: what it runs cannot be checked"
        } elseif {$name eq "when"} {
            fault $at "when: only at the top of a rule"
        } else {
            fault $at "$name is not a command the bench knows of iRules"
        }
    }

    # A command of Tcl's own.
    proc core {name words at} {
        lassign $::tables::core($name) kind allowed
        if {$kind eq "sub"} {
            set sub [lindex $words 1]
            if {$sub eq "" || ![is_literal $sub]} {
                fault $at "$name: its subcommand must be literal"
            } elseif {[literal $sub] ni $allowed} {
                fault [lindex $sub 2] "$name [literal $sub] is not in Tcl 8.4.6"
            }
        }
        if {$kind eq "opt"} { options $name $words $allowed }
        set rest [lrange $words 1 end]
        switch -- $name {
            if { conditional $rest }
            while { expression [lindex $rest 0]; script [lindex $rest 1] }
            for {
                if {[llength $rest] != 4} { fault $at "for: must be `for start test next body`"; return }
                script [lindex $rest 0]
                expression [lindex $rest 1]
                script [lindex $rest 2]
                script [lindex $rest 3]
            }
            foreach {
                if {[llength $rest] < 3} { fault $at "foreach: must be `foreach names list body`"; return }
                foreach {names list} [lrange $rest 0 end-1] {
                    foreach one [literal $names] { name $one [lindex $names 2] write }
                }
                script [lindex $rest end]
            }
            catch {
                script [lindex $rest 0]
                target [lindex $rest 1]
                if {[llength $rest] > 2} { fault $at "catch with a variable for options is Tcl 8.5" }
            }
            expr {
                if {[llength $rest] != 1 || [lindex $rest 0 0] ne "brace"} {
                    fault $at "expr: the expression must be one word in braces"
                    return
                }
                expression [lindex $rest 0]
            }
            switch { choice $rest $at }
            proc { fault $at "proc: only at the top of a rule" }
            set - append - lappend - incr - lset { target [lindex $rest 0] }
            unset {
                foreach word $rest {
                    if {![string match -* [literal $word]]} { target $word }
                }
            }
            array { if {[literal [lindex $rest 0]] in {set unset}} { target [lindex $rest 1] } }
            scan { foreach word [lrange $rest 2 end] { target $word } }
            binary {
                if {[literal [lindex $rest 0]] eq "scan"} { foreach word [lrange $rest 3 end] { target $word } }
                formats [literal [lindex $rest 0]] [lindex $rest [expr {[literal [lindex $rest 0]] eq "scan" ? 2 : 1}]]
            }
            regexp { foreach word [lrange [operands $rest -start] 2 end] { target $word } }
            regsub {
                set plain [operands $rest -start]
                if {[llength $plain] < 4} { fault $at "regsub without a variable is Tcl 8.4.0 only in name: give it one" }
                target [lindex $plain 3]
            }
            string {
                if {[literal [lindex $rest 0]] eq "is"} {
                    set class [literal [lindex $rest 1]]
                    if {$class ni $::tables::string_is} { fault $at "string is $class is not in Tcl 8.4.6" }
                }
            }
            info { if {[literal [lindex $rest 0]] eq "exists"} { exists [lindex $rest 1] } }
        }
    }

    # `info exists name` reads a variable of the connection.
    proc exists {word} {
        if {[is_literal $word]} { name [lindex $word 1] [lindex $word 2] read } else { target $word }
    }

    # The words behind a command's options; `with`: options that have a value.
    proc operands {words with} {
        while {[llength $words]} {
            set text [literal [lindex $words 0]]
            if {$text eq "--"} { return [lrange $words 1 end] }
            if {![string match -* $text]} { return $words }
            set words [lrange $words [expr {$text in $with ? 2 : 1}] end]
        }
        return {}
    }

    proc options {name words allowed} {
        set rest [lrange $words 1 end]
        # The last words are values, whatever they look like.
        set values [dict get {lsearch 2 lsort 1 regexp 2 regsub 3 return 1 switch 2 unset 1} $name]
        if {$name eq "return" && [llength $rest] % 2 == 0} { set values 0 }
        foreach word [lrange $rest 0 end-$values] {
            set text [lindex $word 1]
            if {$text eq "--"} { return }
            if {[string match -* $text]} {
                if {$text ni $allowed && ![string is integer -strict $text]} { fault [lindex $word 2] "$name $text is not in Tcl 8.4.6" }
                continue
            }
            if {![is_literal $word] && $name in {lsort lsearch}} { fault [lindex $word 2] "$name: its options must be literal" }
            if {$name in {regexp regsub switch}} { break }
        }
        if {$name eq "switch"} {
            set plain [operands $rest {}]
            set dashed [expr {[lsearch -exact [lmap word $rest {lindex $word 1}] --] >= 0}]
            if {!$dashed && ![is_literal [lindex $plain 0]]} {
                fault [lindex $plain 0 2] "switch without --: a value that begins with - would be taken for an option"
            }
        }
        if {$name in {regexp regsub}} {
            set plain [operands $rest -start]
            set dashed [expr {[lsearch -exact [lmap word $rest {lindex $word 1}] --] >= 0}]
            if {!$dashed && ![is_literal [lindex $plain 0]]} {
                fault [lindex $plain 0 2] "$name without --: a pattern that begins with - would be taken for an option"
            }
        }
    }

    # Letters of binary's formats that came with Tcl 8.5.
    proc formats {sub word} {
        if {![is_literal $word]} { return }
        if {[regexp {[tnmrRqQ]|[a-zA-Z]u} [lindex $word 1] letter]} {
            fault [lindex $word 2] "binary $sub $letter is Tcl 8.5"
        }
    }

    proc conditional {words} {
        while {1} {
            expression [lindex $words 0]
            set words [lrange $words 1 end]
            if {[literal [lindex $words 0]] eq "then"} { set words [lrange $words 1 end] }
            script [lindex $words 0]
            set words [lrange $words 1 end]
            if {![llength $words]} { return }
            switch -- [literal [lindex $words 0]] {
                elseif { set words [lrange $words 1 end] }
                else {
                    script [lindex $words 1]
                    return
                }
                default {
                    fault [lindex $words 0 2] "if: `elseif` or `else` is missing"
                    return
                }
            }
        }
    }

    proc choice {words at} {
        set words [lrange [operands $words {}] 1 end]
        if {[llength $words] == 1} {
            set word [lindex $words 0]
            # Inside the braces stand words, not commands.
            if {[catch {pairs [lindex $word 1] [lindex $word 2]} pairs options]} {
                broken $pairs $options
                return
            }
            set words $pairs
        }
        if {[llength $words] % 2} { fault $at "switch: a pattern without a script"; return }
        foreach {pattern body} $words {
            if {[literal $body] eq "-"} { continue }
            script $body
        }
    }

    # The words of a list of patterns and scripts, as words of the rule. A comment there would be taken for patterns.
    proc pairs {text base} {
        set words {}
        set at 0
        set end [string length $text]
        while {$at < $end} {
            set c [string index $text $at]
            if {[string is space $c]} { incr at; continue }
            if {$c eq "#"} { ::parse::fail [expr {$base + $at}] "a comment among the patterns of switch is taken for a pattern" }
            if {$c eq "\{"} {
                lassign [::parse::word $text $at $base ""] word at
            } elseif {$c eq "\""} {
                set stop [string first "\"" $text [expr {$at + 1}]]
                if {$stop < 0} { ::parse::fail [expr {$base + $at}] "missing \"" }
                set word [list quote [string range $text [expr {$at + 1}] [expr {$stop - 1}]] [expr {$base + $at + 1}] {}]
                set at [expr {$stop + 1}]
            } else {
                regexp -start $at {\A\S+} $text bare
                set word [list bare $bare [expr {$base + $at}] {}]
                incr at [string length $bare]
            }
            lappend words $word
        }
        return $words
    }

    proc expression {word} {
        if {$word eq ""} { fault 0 "an expression is missing"; return }
        lassign $word kind text at
        if {$kind ne "brace"} {
            # A plain number or word, as in `while 1`.
            if {$kind eq "bare" && [is_literal $word]} { return }
            fault $at "an expression that is not in braces is substituted twice"
            return
        }
        if {[catch {::parse::expression $text $at} parsed options]} {
            broken $parsed $options
            return
        }
        lassign $parsed parts words
        parts $parts
        foreach one $words {
            lassign $one name where called
            if {$called} {
                if {$name ni $::tables::functions} { fault $where "$name\(): not a function of expr in Tcl 8.4.6" }
            } elseif {$name in {in ni **}} {
                fault $where "$name in an expression is Tcl $::tables::newer($name); iRules have 8.4.6"
            } elseif {$name in $::tables::f5_operators} {
                fault $where "$name: F5's own operators are not emulated here; eq, ne, &&, ||, ! and `string match` say the same"
            } elseif {$name ni {eq ne} && ![string is boolean -strict $name]} {
                fault $where "$name: a word in an expression must be in quotes"
            }
        }
    }

    # A command of F5's.
    proc irules {name words at} {
        variable version
        variable used
        variable place
        variable opens
        lassign $::tables::row($name) since events subs basis
        lappend used($place) [list $name $at]
        if {![::tables::as_new $version $since]} {
            fault $at "$name is there since TMOS $since, not in $version ([::tables::page $name])"
        }
        set sub [lindex $words 1]
        if {[llength $subs] && $name ne "after"} {
            if {$sub eq "" && $name ni {virtual LB::server}} {
                fault $at "$name: a subcommand is missing ([::tables::page $name])"
            } elseif {$sub ne "" && ![is_literal $sub]} {
                # HTTP::header $name: the value, unless the name is that of a subcommand.
                if {$name ne "HTTP::header"} { fault [lindex $sub 2] "$name: its subcommand must be literal" }
            } elseif {$sub ne "" && [literal $sub] ni $subs && $name ne "HTTP::header"} {
                fault [lindex $sub 2] "$name [literal $sub]: not a subcommand the bench knows ([::tables::page $name])"
            }
        }
        if {$name eq "HTTP::header" && ![is_literal $sub]} {
            fault [lindex $sub 2] "HTTP::header with a name that is not literal: it could be a subcommand's; write HTTP::header value"
        }
        switch -- $name {
            after { delay $words $at }
            clientside - serverside {
                if {[llength $words] == 2} { script [lindex $words 1] }
            }
            call {
                variable calls
                set callee [literal [lindex $words 1]]
                if {$callee eq ""} { fault $at "call: the proc's name must be literal" }
                lappend calls($place) [list $callee $at]
            }
            HSL::open {
                incr opens
                set proto [literal [lindex $words 2]]
                if {[literal $sub] eq "-proto" && [is_literal [lindex $words 2]] && $proto ni {TCP UDP}} {
                    fault $at "HSL::open -proto $proto: must be TCP or UDP, in capitals ([::tables::page HSL::open])"
                }
                set pool [lindex $words 4]
                if {$pool ne "" && [is_literal $pool]} {
                    fault $at "HSL::open with the pool's name in it: the virtual server would take that pool's state; keep it in a\
                        variable (https://clouddocs.f5.com/api/irules/HSL__open.html)"
                }
            }
            HTTP::collect {
                if {[llength $words] == 1} {
                    fault $at "HTTP::collect without a length never fires by itself ([::tables::page HTTP::collect])"
                }
            }
        }
    }

    # `after ms ?-periodic? script`; without a script it would hold the client up.
    proc delay {words at} {
        set first [literal [lindex $words 1]]
        if {$first in {cancel info}} { return }
        set rest [lrange $words 2 end]
        if {[literal [lindex $rest 0]] eq "-periodic"} { set rest [lrange $rest 1 end] }
        if {[llength $rest] != 1} {
            fault $at "after: must be `after milliseconds script`; without a script it holds the connection up"
            return
        }
        script [lindex $rest 0]
    }

    # Each command against each event that can reach it, through procs too.
    proc reach {events} {
        variable used
        variable calls
        variable opens
        set sends {}
        foreach event [lsort -unique [lmap one $events {lindex $one 0}]] {
            set seen {}
            set open [list $event]
            while {[llength $open]} {
                set open [lassign $open here]
                if {$here in $seen} { continue }
                lappend seen $here
                if {[info exists used($here)]} {
                    foreach one $used($here) {
                        lassign $one name at
                        if {$name eq "HSL::send"} { lappend sends $at }
                        if {![::tables::valid $name $event]} {
                            set by [expr {$here eq $event ? "" : " (by [lindex $here 1])"}]
                            fault $at "$name is not valid in $event$by: [::tables::page $name]"
                        }
                    }
                }
                if {[info exists calls($here)]} {
                    foreach one $calls($here) { lappend open [list proc [lindex $one 0]] }
                }
            }
        }
        if {[llength $sends] && !$opens} {
            fault [lindex $sends 0] "HSL::send without HSL::open: there is no handle ([::tables::page HSL::send])"
        }
    }
}
