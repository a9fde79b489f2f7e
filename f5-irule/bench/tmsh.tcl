# tmsh as an installer's script sees it: a configuration, and the commands of F5's tmsh scripting API that read and change it.
#
# In: a script (`cli script NAME { ... }`), its words, and what is configured already. Out: what the script printed, how it ended, and
# what is configured then. The script runs in an interpreter of its own, without what came after Tcl 8.4. References are checked as the
# BIG-IP does: what is named must be there, what is in use is not deleted, a rule with HTTP events needs an HTTP profile.
#
# What is emulated is documented at https://clouddocs.f5.com/api/tmsh/ (tmsh::create, modify, delete, get_config, get_field_value,
# list, begin_transaction, ...) and https://clouddocs.f5.com/cli/tmsh-reference/latest/ (ltm rule, ltm virtual, ltm pool, ltm data-group
# internal, ltm profile server-ssl, ltm virtual-address, sys config). It never was a BIG-IP.

namespace eval ::tmshell {
    # Path of each object, such as `ltm pool /Common/books`, to a dict of its properties.
    variable config {}
    # The same at begin_transaction; the folder the script is in; what it printed; each command it gave that changes something.
    variable before {}
    variable open 0
    variable folder /Common
    variable printed {}
    variable commands {}
    # What a merge does to records there are: `replace` or `add`. F5 does not say; an installer has to live with both.
    variable merge replace

    # Properties by component: name to kind. A scalar, an ordered list of names, or objects with properties of their own.
    variable components {
        {ltm pool} {members nested monitor scalar}
        {ltm rule} {text scalar}
        {ltm data-group internal} {records nested type scalar}
        {ltm virtual} {
            destination scalar ip-protocol scalar mask scalar policies nested pool scalar profiles nested rules list
            source-address-translation braces
        }
        {ltm virtual-address} {address scalar arp scalar icmp-echo scalar traffic-group scalar}
        {ltm profile server-ssl} {
            defaults-from scalar cert scalar key scalar ca-file scalar peer-cert-mode scalar authenticate-name scalar server-name scalar
        }
        {ltm profile http} {defaults-from scalar}
        {sys file ssl-cert} {}
        {sys file ssl-key} {}
    }
    # What every BIG-IP has.
    variable built_in {
        /Common/tcp /Common/http /Common/serverssl /Common/gateway_icmp /Common/tcp_half_open none
    }
    # Commands that came after Tcl 8.4.
    variable later {
        apply chan coroutine dict lassign lmap lrepeat lreverse oo::class oo::define oo::object tailcall throw try yield yieldto zlib
    }
}

# Begins with what a BIG-IP has that some applications run on.
proc ::tmshell::reset {} {
    variable config {}
    variable folder /Common
    variable merge replace
    variable open 0
    foreach {object properties} {
        {ltm profile http /Common/books_http} {defaults-from /Common/http}
        {ltm rule /Common/redirects} {text {when HTTP_REQUEST { }}}
        {ltm rule /Common/headers} {text {when HTTP_RESPONSE { }}}
        {ltm pool /Common/books} {members {10.0.0.80:8080 {}} monitor /Common/http}
        {ltm virtual /Common/vs_books} {
            destination /Common/203.0.113.10:443 pool /Common/books profiles {/Common/tcp {} /Common/books_http {}}
            rules {/Common/redirects /Common/headers}
        }
        {ltm virtual /Common/vs_plain} {
            destination /Common/203.0.113.11:80 pool /Common/books profiles {/Common/tcp {} /Common/http {}}
        }
        {ltm virtual /Common/vs_smtp} {destination /Common/203.0.113.12:25 pool /Common/books profiles {/Common/tcp {}}}
        {ltm virtual /Shop/App/vs_shop} {
            destination /Shop/203.0.113.13:443 pool /Common/books profiles {/Common/tcp {} /Common/http {}}
            rules {/Common/headers}
        }
        {sys file ssl-cert /Common/silhouette-client.crt} {}
        {sys file ssl-key /Common/silhouette-client.key} {}
        {sys file ssl-cert /Common/collector-ca.crt} {}
    } {
        dict set config $object [dict create {*}$properties]
    }
}

# Runs a script; a list: how it ended (0, or what it gave to `exit`), what it printed.
proc ::tmshell::run {file args} {
    variable printed {}
    variable commands {}
    variable folder /Common
    variable later
    set channel [open $file]
    set text [read $channel]
    close $channel
    # Comments stand before the stanza, as in any file that tmsh loads.
    regsub -all -line {^#.*$} $text {} text
    if {[llength $text] != 4 || [lrange $text 0 1] ne {cli script}} {
        error "$file is not one `cli script NAME { ... }`"
    }
    lassign $text - - name body
    set child [interp create]
    foreach command $later {
        $child eval [list catch [list rename $command {}]]
    }
    # Of a variable that is not set, Tcl 8.4 makes no zero.
    $child eval {
        namespace eval tmsh {}
        rename incr ::tcl::incr
        proc incr {name {by 1}} {
            upvar 1 $name value
            if {![info exists value]} { error "can't read \"$name\": no such variable" }
            ::tcl::incr value $by
        }
        namespace eval script {}
        # Without a variable an error when there is no such field; with one it says so.
        proc ::tmsh::get_field_value {object field args} {
            foreach {there found} [::tmsh::field $object $field] {}
            if {[llength $args] == 0} {
                if {!$there} { error "the field $field is not present" }
                return $found
            }
            if {$there} {
                upvar 1 [lindex $args 0] value
                set value $found
            }
            return $there
        }
    }
    foreach command {
        create modify delete list load save get_config get_name field cd pwd begin_transaction commit_transaction cancel_transaction
    } {
        $child alias ::tmsh::$command ::tmshell::do_$command $child
    }
    $child hide puts
    $child alias puts ::tmshell::do_puts $child
    $child alias exit ::tmshell::do_exit
    $child eval [list set ::tmsh::argv [linsert $args 0 $name]]
    $child eval [list set ::tmsh::argc [expr {[llength $args] + 1}]]
    set code [catch {
        $child eval $body
        $child eval script::run
    } said options]
    interp delete $child
    if {$code == 0} {
        return [list 0 $printed]
    }
    if {[lrange [dict get $options -errorcode] 0 0] eq "EXIT"} {
        return [list [lindex [dict get $options -errorcode] 1] $printed]
    }
    error "the script ended with an error it did not catch: $said\n[dict get $options -errorinfo]"
}

proc ::tmshell::do_puts {child args} {
    variable printed
    if {[llength $args] == 1} {
        append printed [lindex $args 0]\n
    } else {
        # Into a file of the script's.
        $child invokehidden -global puts {*}$args
    }
}

proc ::tmshell::do_exit {{status 0}} {
    return -code error -errorcode [list EXIT $status] "exit $status"
}

proc ::tmshell::do_cd {child path} {
    variable folder $path
}

proc ::tmshell::do_pwd {child} {
    variable folder
    return $folder
}

# A name with its folder.
proc ::tmshell::full {name} {
    variable folder
    if {[string match /* $name] || $name eq "none"} {
        return $name
    }
    return [expr {$folder eq "/" ? "/$name" : "$folder/$name"}]
}

# A name as tmsh shows it: without the folder the shell is in.
proc ::tmshell::shown {name} {
    variable folder
    set prefix [expr {$folder eq "/" ? "/" : "$folder/"}]
    if {[string first $prefix $name] == 0} {
        return [string range $name [string length $prefix] end]
    }
    return $name
}

# The component a command is about, and the words after it.
proc ::tmshell::component {words} {
    variable components
    dict for {component kinds} $components {
        set length [llength $component]
        if {[lrange $words 0 [expr {$length - 1}]] eq $component} {
            return [list $component [lrange $words $length end]]
        }
    }
    error "Syntax Error: unexpected argument \"$words\""
}

proc ::tmshell::text {args} {
    return [string trimleft [join $args] /]
}

proc ::tmshell::object {component name} {
    return "$component [full $name]"
}

proc ::tmshell::missing {object} {
    error "01020036:3: The requested object ($object) was not found."
}

# Reads `name value ...` as `create` and `modify` take it, into a dict of properties.
proc ::tmshell::properties {component have words} {
    variable components
    set kinds [dict get $components $component]
    while {[llength $words] > 0} {
        set words [lassign $words name]
        if {![dict exists $kinds $name]} {
            error "Syntax Error: \"$name\" unknown property"
        }
        if {[llength $words] == 0} {
            error "Syntax Error: \"$name\" one of the following values is needed"
        }
        switch -- [dict get $kinds $name] {
            scalar - braces {
                set words [lassign $words value]
                dict set have $name $value
            }
            list {
                set words [lassign $words value]
                dict set have $name [expr {$value eq "none" ? {} : [lmap one $value {full $one}]}]
            }
            nested {
                set words [lassign $words how value]
                set there [expr {[dict exists $have $name] ? [dict get $have $name] : {}}]
                switch -- $how {
                    none { set there {} }
                    add - modify {
                        foreach one [dict keys [nested $value]] {
                            if {$how eq "modify" && ![dict exists $there $one]} {
                                missing "$name $one"
                            }
                            if {$how eq "add" && [dict exists $there $one]} {
                                error "01020066:3: The requested object ($name $one) already exists."
                            }
                        }
                        set there [dict merge $there [nested $value]]
                    }
                    replace-all-with { set there [nested $value] }
                    delete {
                        foreach one $value {
                            if {![dict exists $there $one]} {
                                missing "$name $one"
                            }
                            dict unset there $one
                        }
                    }
                    default { error "Syntax Error: \"$how\" unexpected argument" }
                }
                dict set have $name $there
            }
        }
    }
    return $have
}

# `a b { x y } c` as a dict: a name that no braces follow has no properties.
proc ::tmshell::nested {text} {
    set found {}
    while {[llength $text] > 0} {
        set text [lassign $text name]
        set properties {}
        # A name never holds a space and never is empty; what does is the braces of the name before.
        if {[llength $text] > 0 && ![regexp {^\S+$} [lindex $text 0]]} {
            set text [lassign $text properties]
        }
        if {[llength $properties] % 2 != 0} {
            error "Syntax Error: \"[lindex $properties end]\" unexpected argument"
        }
        dict set found $name $properties
    }
    return $found
}

# Refuses what the BIG-IP refuses.
proc ::tmshell::check {} {
    variable config
    variable built_in
    dict for {object properties} $config {
        foreach {property component} {pool {ltm pool} cert {sys file ssl-cert} key {sys file ssl-key} ca-file {sys file ssl-cert}} {
            if {[dict exists $properties $property] && ![dict exists $config "$component [full [dict get $properties $property]]"]} {
                error "01070734:3: Configuration error: $object: $property [dict get $properties $property] does not exist."
            }
        }
        foreach {property} {monitor defaults-from} {
            if {[dict exists $properties $property] && [full [dict get $properties $property]] ni $built_in} {
                error "01070734:3: Configuration error: $object: $property [dict get $properties $property] does not exist."
            }
        }
        if {[lrange $object 0 1] ne {ltm virtual}} {
            continue
        }
        set http 0
        foreach profile [dict keys [dict get $properties profiles]] {
            if {$profile eq "/Common/http" || [dict exists $config "ltm profile http $profile"]} {
                set http 1
            } elseif {$profile ni $built_in && ![dict exists $config "ltm profile server-ssl $profile"]} {
                error "01070734:3: Configuration error: $object: profile $profile does not exist."
            }
        }
        if {[dict exists $properties rules]} {
            foreach rule [dict get $properties rules] {
                if {![dict exists $config "ltm rule $rule"]} {
                    error "01070151:3: Rule \[$rule\] error: it does not exist, or is in use by $object."
                }
                if {!$http && [regexp {when HTTP_} [dict get $config "ltm rule $rule" text]]} {
                    error "01070394:3: HTTP event in rule ($rule) requires an associated HTTP profile on the virtual-server ($object)."
                }
            }
        }
    }
}

# Takes a change if the whole is valid then; within a transaction that is known at its end.
proc ::tmshell::change {script} {
    variable config
    variable open
    set was $config
    if {[catch {uplevel 1 $script; if {!$open} check} said]} {
        set config $was
        error $said
    }
}

proc ::tmshell::do_create {child args} {
    variable config
    variable commands
    set text [text {*}$args]
    lappend commands "create $text"
    lassign [component $text] component words
    set words [lassign $words name]
    set object [object $component $name]
    if {[dict exists $config $object]} {
        error "01020066:3: The requested object ($object) already exists."
    }
    change { dict set config $object [properties $component {} $words] }
    return
}

proc ::tmshell::do_modify {child args} {
    variable config
    variable commands
    set text [text {*}$args]
    lappend commands "modify $text"
    lassign [component $text] component words
    set words [lassign $words name]
    set object [object $component $name]
    if {![dict exists $config $object]} {
        missing $object
    }
    change {
        dict set config $object [properties $component [dict get $config $object] $words]
        if {$component eq "ltm virtual"} { sweep }
    }
    return
}

proc ::tmshell::do_delete {child args} {
    variable config
    variable commands
    set text [text {*}$args]
    lappend commands "delete $text"
    lassign [component $text] component words
    set object [object $component [lindex $words 0]]
    if {![dict exists $config $object]} {
        missing $object
    }
    change {
        dict unset config $object
        if {$component eq "ltm virtual"} { sweep }
    }
    return
}

# Deletes virtual addresses that nobody listens at any more, as `auto-delete true` says.
proc ::tmshell::sweep {} {
    variable config
    foreach object [dict keys $config "ltm virtual-address *"] {
        set used 0
        foreach virtual [dict keys $config "ltm virtual *"] {
            if {[string match "*/[file tail $object]:*" [dict get $config $virtual destination]]} {
                set used 1
            }
        }
        if {!$used} {
            dict unset config $object
        }
    }
}

proc ::tmshell::do_save {child args} {
    variable commands
    lappend commands "save [text {*}$args]"
    return
}

# `sys config merge file PATH [verify]`
proc ::tmshell::do_load {child args} {
    variable config
    variable commands
    variable merge
    set text [text {*}$args]
    lappend commands "load $text"
    if {![regexp {^sys config merge file (\S+)( verify)?$} $text - path verify]} {
        error "Syntax Error: \"$text\" unexpected argument"
    }
    if {[file attributes $path -permissions] % 0o100 != 0} {
        error "$path can be read by others than root"
    }
    set channel [open $path]
    set stanzas [read $channel]
    close $channel
    set was $config
    change {
        foreach {object body} [stanzas $stanzas] {
            lassign [component $object] component words
            set object [object $component [lindex $words 0]]
            set have [expr {[dict exists $config $object] ? [dict get $config $object] : {}}]
            if {$component eq "ltm rule"} {
                dict set have text $body
            } else {
                foreach {name value} $body {
                    if {$name eq "records" && $merge eq "add" && [dict exists $have records]} {
                        set value [dict merge [dict get $have records] $value]
                    }
                    dict set have $name $value
                }
            }
            dict set config $object $have
        }
    }
    if {$verify ne ""} {
        set config $was
    }
    return
}

# The stanzas of a configuration file: name, what is between the braces, ...
proc ::tmshell::stanzas {text} {
    set found {}
    while {[string trim $text] ne ""} {
        set at [string first "\{" $text]
        if {$at < 0} {
            error "Syntax Error: a stanza without braces"
        }
        set depth 0
        set end -1
        foreach brace [regexp -all -inline -indices {[{}]} $text] {
            set i [lindex $brace 0]
            incr depth [expr {[string index $text $i] eq "\{" ? 1 : -1}]
            if {$depth == 0} {
                set end $i
                break
            }
        }
        if {$end < 0} {
            error "Syntax Error: braces do not match"
        }
        lappend found [string trim [string range $text 0 [expr {$at - 1}]]] [string range $text [expr {$at + 1}] [expr {$end - 1}]]
        set text [string range $text [expr {$end + 1}] end]
    }
    return $found
}

proc ::tmshell::do_get_config {child args} {
    variable config
    variable folder
    set words [split [text {*}$args]]
    lassign [component $words] component names
    set names [lsearch -all -inline -not -exact $names all-properties]
    set recursive [expr {"recursive" in $names}]
    set names [lsearch -all -inline -not -exact $names recursive]
    if {[llength $names] > 0} {
        set object [object $component [lindex $names 0]]
        if {![dict exists $config $object]} {
            missing $object
        }
        return [list [list $object [dict get $config $object]]]
    }
    set found {}
    set prefix [expr {$folder eq "/" ? "/" : "$folder/"}]
    dict for {object properties} $config {
        set name [lindex $object end]
        if {[lrange $object 0 end-1] eq $component && [string first $prefix $name] == 0
            && ($recursive || [string first / $name [string length $prefix]] < 0)} {
            lappend found [list $object $properties]
        }
    }
    return $found
}

# The text of a rule, or nothing of it where the BIG-IP does not show it.
proc ::tmshell::do_list {child args} {
    variable config
    lassign [component [text {*}$args]] component words
    set object [object $component [lindex $words 0]]
    if {![dict exists $config $object]} {
        missing $object
    }
    if {$component ne "ltm rule"} {
        error "only `list ltm rule` is emulated"
    }
    return "$object {\n[dict get $config $object text]\n}\n"
}

proc ::tmshell::do_get_name {child object} {
    return [shown [lindex $object 0 end]]
}

# Whether an object has a field, and its value. Names in it are shown as the shell shows them; of nested objects it is a list that
# get_name and get_field_value take.
proc ::tmshell::do_field {child object field} {
    lassign $object name properties
    if {![dict exists $properties $field] || [dict get $properties $field] eq ""} {
        return {0 {}}
    }
    set value [dict get $properties $field]
    switch -- $field {
        rules { set value [lmap one $value {shown $one}] }
        destination - pool { set value [shown $value] }
        records - members - profiles { set value [lmap {one more} $value {list [list $one] $more}] }
    }
    return [list 1 $value]
}

proc ::tmshell::do_begin_transaction {child} {
    variable config
    variable before $config
    variable open 1
    return
}

proc ::tmshell::do_commit_transaction {child} {
    variable config
    variable before
    variable open 0
    if {[catch check said]} {
        set config $before
        error $said
    }
    return
}

proc ::tmshell::do_cancel_transaction {child} {
    variable config
    variable before
    variable open
    if {$open} {
        set config $before
        set open 0
    }
    return
}
