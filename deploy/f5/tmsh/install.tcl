# Installs Silhouette's iRule on a BIG-IP, from tmsh: a script of tmsh's own, in the Tcl that tmsh has.
#
#   tmsh load sys config merge file /var/tmp/silhouette/tmsh/install.tcl
#   tmsh run cli script silhouette_install help
#
# In: the words after its name, the rule and a settings file from one folder, and the configuration as it is. Out: a log pool, a
# data-group, the rule and, towards a collector with TLS, a virtual server that encrypts; each command it gives is printed. Everything is
# checked before anything is changed, and all of it can be repeated. It never touches a virtual server but to put its rule at the end of
# that one's rules, or take it out, and not where it would come between another rule and the bodies that one inspects; never prints a
# key, and never has one in a command, since commands are in the audit log.
cli script /Common/silhouette_install {

proc script::run {} {
    if { [catch { sil_run [lrange $tmsh::argv 1 end] } said] } {
        puts "silhouette: $said"
        exit 1
    }
}

proc sil_usage {} {
    puts "tmsh run cli script silhouette_install COMMAND"
    puts ""
    puts "  install collector ADDRESS:PORT\[,ADDRESS:PORT...\] \[from FOLDER\]"
    puts "          \[cert NAME key NAME ca NAME server-name HOST \[local ADDRESS:PORT\]\]"
    puts "      Makes or updates the log pool, the data-group, the rule. FOLDER has silhouette.tcl and settings.conf, and is"
    puts "      /var/tmp/silhouette if it is not said. With cert, key, ca and server-name records go encrypted: these are names of a"
    puts "      client certificate, its key and the collector's authority on this BIG-IP, and the host in the collector's certificate."
    puts "      local is where the virtual server that encrypts listens, for this BIG-IP alone (192.0.2.140:5140)."
    puts "  attach VIRTUAL..."
    puts "      Puts the rule behind the rules that these virtual servers have. Refused where one of those collects bodies that"
    puts "      the setting collect would have this rule read, too."
    puts "  detach VIRTUAL... | all"
    puts "      Takes it out again; the other rules stay, in their order."
    puts "  upgrade \[from FOLDER\]"
    puts "      Replaces the rule's text where it is; settings, pools and virtual servers stay."
    puts "  status"
    puts "      What is here, and which virtual servers have the rule."
    puts "  remove"
    puts "      Deletes all that install made. Refused while a virtual server has the rule."
    puts "  help"
    puts "      This."
}

proc sil_run { words } {
    # Names without a folder are of this one, both those given and those tmsh prints.
    tmsh::cd /Common
    set command [lindex $words 0]
    set rest [lrange $words 1 end]
    switch -- $command {
        install { sil_install $rest }
        attach { sil_attach $rest }
        detach { sil_detach $rest }
        upgrade { sil_upgrade $rest }
        status { sil_nothing_more status $rest; sil_status }
        remove { sil_nothing_more remove $rest; sil_remove }
        help { sil_usage }
        "" { sil_usage; error "say what to do: install, attach, detach, upgrade, status, remove or help" }
        default { error "there is no command \"$command\": there are install, attach, detach, upgrade, status, remove and help" }
    }
}

# ---- what it makes

proc sil_object { which } {
    switch -- $which {
        rule { return "ltm rule /Common/silhouette" }
        group { return "ltm data-group internal /Common/silhouette_settings" }
        log { return "ltm pool /Common/silhouette_log" }
        collector { return "ltm pool /Common/silhouette_collector" }
        tls { return "ltm profile server-ssl /Common/silhouette_serverssl" }
        encrypt { return "ltm virtual /Common/silhouette_encrypt" }
    }
    error "there is no object \"$which\""
}

# The last word of one of these.
proc sil_path { which } {
    set object [sil_object $which]
    return [lindex $object [expr { [llength $object] - 1 }]]
}

# Gives a command to tmsh, and says so.
proc sil_do { verb text } {
    puts "$verb $text"
    set command "tmsh::$verb"
    $command $text
}

# Objects of that name as tmsh has them: none or one.
proc sil_config { object } {
    if { [catch { eval tmsh::get_config "/$object" } found] } {
        return [list]
    }
    return $found
}

proc sil_here { object } {
    return [expr { [llength [sil_config $object]] > 0 }]
}

proc sil_delete { object } {
    if { [sil_here $object] } {
        sil_do delete $object
    }
}

# Makes an object, or changes the one there is.
proc sil_make { object created changed } {
    if { [sil_here $object] } {
        sil_do modify "$object $changed"
    } else {
        sil_do create "$object $created"
    }
}

proc sil_save {} {
    sil_do save "sys config"
    puts "Other devices of a device group get it by: tmsh run cm config-sync to-group GROUP"
}

# ---- words, checked

proc sil_nothing_more { command rest } {
    if { [llength $rest] > 0 } {
        error "$command takes no more words, and was given \"[join $rest]\""
    }
}

# `name value` pairs, of these names only, as a list for `array set`.
proc sil_options { command words names } {
    set found [list]
    array set seen {}
    foreach { name value } $words {
        if { [lsearch -exact $names $name] < 0 } {
            error "$command does not know \"$name\": it knows [join $names {, }]"
        }
        if { [info exists seen($name)] } {
            error "$command was given $name twice"
        }
        if { $value eq "" } {
            error "$command: $name needs a value"
        }
        set seen($name) 1
        lappend found $name $value
    }
    return $found
}

proc sil_name { what text } {
    if { ![regexp {^/?[A-Za-z0-9_.:%-]+(/[A-Za-z0-9_.:%-]+)*$} $text] } {
        error "$what \"$text\" is no name of an object: letters, digits, _ . : % - and / for folders"
    }
    return [sil_full $text]
}

# A name with its folder; tmsh leaves out the one it is in.
proc sil_full { name } {
    if { [string match "/*" $name] } {
        return $name
    }
    set folder [tmsh::pwd]
    if { $folder eq "/" } {
        return "/$name"
    }
    return "$folder/$name"
}

# `10.0.0.5:5140` or `[2001:db8::5]:5140`, an address perhaps with `%1` for its route domain, as a list: address, port.
proc sil_endpoint { what text } {
    set right "an address and a port, such as 10.0.0.5:5140 or \[2001:db8::5\]:5140"
    if { [regexp {^(\d+)\.(\d+)\.(\d+)\.(\d+)(%\d+)?:(\d+)$} $text all a b c d domain port] } {
        foreach part [list $a $b $c $d] {
            if { [string length $part] > 3 || $part > 255 || ([string length $part] > 1 && [string match "0*" $part]) } {
                error "$what \"$text\" has no valid address: give $right"
            }
        }
        set address "$a.$b.$c.$d$domain"
    } elseif { ![regexp {^\[([0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(%\d+)?)\]:(\d+)$} $text all address domain port] } {
        error "$what \"$text\" is not accepted: give $right"
    }
    if { [string length $port] > 5 || [string match "0*" $port] || $port > 65535 } {
        error "$what \"$text\" has no valid port: 1 to 65535"
    }
    return [list $address $port]
}

# The same as tmsh writes it.
proc sil_member { endpoint } {
    set address [lindex $endpoint 0]
    set separator [expr { [string match "*:*" $address] ? "." : ":" }]
    return "$address$separator[lindex $endpoint 1]"
}

# Whether an address is one that the collector's hsl_listen may have: loopback, RFC 1918, RFC 6598, RFC 4193, link-local.
proc sil_private { address } {
    regsub {%\d+$} [string tolower $address] "" address
    if { [regexp {^(?:::ffff:)?(\d+)\.(\d+)\.} $address all a b] } {
        return [expr { $a == 10 || $a == 127 || ($a == 172 && $b >= 16 && $b <= 31) || ($a == 192 && $b == 168)
            || ($a == 169 && $b == 254) || ($a == 100 && $b >= 64 && $b <= 127) }]
    }
    return [regexp {^(::1$|f[cd][0-9a-f]{2}:|fe[89ab][0-9a-f]:)} $address]
}

# ---- files, checked

proc sil_read { path } {
    if { ![file isfile $path] || ![file readable $path] } {
        error "$path is not there or cannot be read: unpack the package there, or say `from FOLDER`"
    }
    set channel [open $path r]
    fconfigure $channel -encoding binary -translation binary
    set text [read $channel]
    close $channel
    return $text
}

# The rule's text, with the data-group it reads by its whole name.
proc sil_rule { folder } {
    set path "$folder/silhouette.tcl"
    set text [sil_read $path]
    if { [regexp {[^\n\t\x20-\x7e]} $text] } {
        error "$path holds bytes that are no ASCII text: it is damaged, unpack it again (sha256sum -c SHA256SUMS)"
    }
    # F5 K9204.
    if { [string length $text] > 65520 } {
        error "$path has [string length $text] bytes: a rule that BIG-IP loads has 65,520 at most"
    }
    if { ![info complete "{$text}"] || [catch { llength "{$text}" } words] || $words != 1 } {
        error "$path has braces that do not match: it is damaged, unpack it again (sha256sum -c SHA256SUMS)"
    }
    set line {(?n)^([ \t]*set static::sil_group)[ \t]+[^ \t\n]+[ \t]*$}
    set count [regexp -all $line $text]
    if { $count != 1 } {
        error "$path is not Silhouette's rule: it has $count lines `set static::sil_group`, and should have one"
    }
    regsub $line $text "\\1 [sil_path group]" text
    return $text
}

# Names of all settings, as the rule's own table has them.
proc sil_known { rule } {
    set known [list]
    if { [regexp -indices {set static::sil_table } $rule found] } {
        set table ""
        foreach line [split [string range $rule [lindex $found 1] end] "\n"] {
            append table "$line\n"
            if { [info complete $table] } {
                break
            }
        }
        if { ![catch { lindex $table 0 } rows] } {
            foreach row $rows {
                lappend known [lindex $row 0]
            }
        }
    }
    if { [lsearch -exact $known key_id] < 0 } {
        error "silhouette.tcl is not Silhouette's rule: it has no table of settings"
    }
    return $known
}

# The settings of a file, as a list: name, value, name, value.
proc sil_settings { folder known } {
    set path "$folder/settings.conf"
    set found [list]
    array set seen {}
    set number 0
    foreach line [split [sil_read $path] "\n"] {
        incr number
        set line [string trim $line]
        if { $line eq "" || [string match "#*" $line] } {
            continue
        }
        if { ![regexp {^([a-z][a-z0-9_]*)[ \t]+(.*)$} $line all name value] } {
            error "line $number of $path is no setting: a line is a name, a space, a value"
        }
        if { [lsearch -exact $known $name] < 0 } {
            error "line $number of $path: there is no setting $name: the settings are [join $known {, }]"
        }
        # No value is said: one of them is the key.
        if { [info exists seen($name)] } {
            error "line $number of $path sets $name again"
        }
        if { ![regexp {^[\x21\x23-\x5a\x5e-\x7a\x7c\x7e \[\]]+$} $value] } {
            error "line $number of $path: the value of $name may not hold quotes, braces, backslashes or anything but ASCII"
        }
        set seen($name) 1
        if { $name eq "pool" } {
            error "line $number of $path sets pool, which install sets: leave it out"
        }
        lappend found $name $value
    }
    foreach name [list key_id key] {
        if { ![info exists seen($name)] } {
            error "$path does not set $name: `silhouette-collector hsl-key create --name NAME` makes a key; key_id is its name"
        }
    }
    if { ![info exists seen(enabled)] } {
        # So that it is there to be changed to 0.
        lappend found enabled 1
    }
    lappend found pool [sil_path log]
    return $found
}

# The settings that are on the BIG-IP, as a list: name, value, name, value.
proc sil_in_force {} {
    set found [list]
    foreach object [sil_config [sil_object group]] {
        if { [tmsh::get_field_value $object records records] } {
            foreach record $records {
                set value ""
                tmsh::get_field_value $record data value
                lappend found [tmsh::get_name $record] [string trim $value "\" "]
            }
        }
    }
    return $found
}

# Whose bodies the rule reads with these settings.
proc sil_collect { settings } {
    array set setting {collect both}
    array set setting $settings
    return $setting(collect)
}

# ---- other rules

# Whose bodies a rule collects or waits for, by its text without lines of comments: requests, responses, both or neither.
proc sil_inspects { text } {
    regsub -all -line {^[ \t]*#.*$} $text "" text
    array set found {}
    set place ""
    foreach word [regexp -all -inline {\m(?:when|proc)\s+[^\s\{]+|HTTP_REQUEST_DATA|HTTP_RESPONSE_DATA|HTTP::collect} $text] {
        regexp {^(?:when|proc)\s+.*} $word place
        switch -regexp -- $word {
            HTTP_REQUEST_DATA { set found(requests) 1 }
            HTTP_RESPONSE_DATA { set found(responses) 1 }
            HTTP::collect {
                # In a proc or another event it may be either.
                if { ![regexp {^when\s+HTTP_RESPONSE} $place] } {
                    set found(requests) 1
                }
                if { ![regexp {^when\s+HTTP_REQUEST} $place] } {
                    set found(responses) 1
                }
            }
        }
    }
    return [lsort [array names found]]
}

# Where the rule, with this value of `collect`, would come between other rules of these virtual servers and the bodies they inspect:
# its HTTP::release, when it has waited long enough, ends what any rule collects, and the events of data are every rule's. A list: what
# is wrong with that, or nothing; the value that would be right.
proc sil_clashes { collect virtuals } {
    set reads(requests) [expr { $collect ne "off" && $collect ne "responses" }]
    set reads(responses) [expr { $collect ne "off" && $collect ne "requests" }]
    array set taken {requests 0 responses 0}
    set clashes [list]
    foreach virtual $virtuals {
        foreach { name object } [sil_virtual $virtual] {}
        foreach rule [sil_rules $object] {
            if { $rule eq [sil_path rule] } {
                continue
            }
            if { [catch { tmsh::list "ltm rule $rule" } text] || ![regexp {\m(when|proc)\s} $text] } {
                set inspects [list requests responses]
                set which "its text cannot be listed"
            } else {
                set inspects [sil_inspects $text]
                set which "bodies of [join $inspects { and }]"
            }
            set clash 0
            foreach one $inspects {
                set taken($one) 1
                incr clash $reads($one)
            }
            if { $clash > 0 } {
                lappend clashes "$rule on $name ($which)"
            }
        }
    }
    if { [llength $clashes] == 0 } {
        return [list "" $collect]
    }
    set right [expr { !$taken(requests) ? "requests" : !$taken(responses) ? "responses" : "off" }]
    set said "with `collect` $collect a slow client gets past rules that inspect bodies, and they run for bodies they did not ask for"
    return [list "$said: [join $clashes {, }]" $right]
}

# Has the BIG-IP load a piece of configuration, from a file that only root can read; first on trial.
proc sil_load { what text } {
    set path "/var/tmp/silhouette-install-[pid].conf"
    set channel [open $path {WRONLY CREAT EXCL} 0600]
    fconfigure $channel -encoding binary -translation binary
    puts $channel $text
    close $channel
    set failed [catch {
        tmsh::load "sys config merge file $path verify"
        tmsh::load "sys config merge file $path"
    } said]
    file delete -force $path
    if { $failed } {
        error "the BIG-IP does not take $what: $said"
    }
    puts "load sys config merge: $what"
}

proc sil_rule_stanza { text } {
    return "[sil_object rule] {\n$text\n}\n"
}

proc sil_group_stanza { settings } {
    set text "[sil_object group] {\n    records {\n"
    foreach { name value } $settings {
        append text "        $name {\n            data \"$value\"\n        }\n"
    }
    append text "    }\n    type string\n}\n"
    return $text
}

# ---- commands

proc sil_install { words } {
    array set option { from /var/tmp/silhouette local 192.0.2.140:5140 }
    array set option [sil_options install $words { collector from cert key ca server-name local }]
    if { ![info exists option(collector)] } {
        error "install needs `collector ADDRESS:PORT`, where the collector's hsl_listen or hsl_tls_listen is"
    }
    set collectors [list]
    set public [list]
    foreach one [split $option(collector) ","] {
        set endpoint [sil_endpoint collector $one]
        lappend collectors [sil_member $endpoint]
        if { ![sil_private [lindex $endpoint 0]] } {
            lappend public [lindex $endpoint 0]
        }
    }
    set given [list]
    set missing [list]
    foreach name { cert key ca server-name } {
        lappend [expr { [info exists option($name)] ? "given" : "missing" }] $name
    }
    set tls [expr { [llength $given] > 0 }]
    if { $tls && [llength $missing] > 0 } {
        error "records are encrypted with all of cert, key, ca and server-name: [join $missing {, }] is not given"
    }
    if { !$tls && [llength $public] > 0 } {
        error "[join $public {, }] is no private address, and records would go there as they are: give cert, key, ca and server-name, too"
    }
    set rule [sil_rule $option(from)]
    set settings [sil_settings $option(from) [sil_known $rule]]
    array set setting $settings
    foreach { clashes right } [sil_clashes [sil_collect $settings] [sil_attached]] {}
    if { $clashes ne "" } {
        error "$clashes. Set `collect` in settings.conf to $right"
    }
    set udp [expr { [info exists setting(transport)] && $setting(transport) eq "udp" }]
    if { $tls && $udp } {
        error "settings.conf says `transport udp`, which cannot be encrypted: leave it out, or cert, key, ca and server-name"
    }
    if { $tls } {
        set near [sil_endpoint local $option(local)]
        if { [string match "*:*" [lindex $near 0]] } {
            error "local \"$option(local)\" is not accepted: give an IPv4 address and a port, such as 192.0.2.140:5140"
        }
        foreach { name object } { cert "sys file ssl-cert" key "sys file ssl-key" ca "sys file ssl-cert" } {
            set option($name) [sil_name $name $option($name)]
            if { ![sil_here "$object $option($name)"] } {
                error "there is no $name $option($name) on this BIG-IP: `tmsh install sys crypto` brings it there"
            }
        }
        if { ![regexp {^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$} $option(server-name)] } {
            error "server-name \"$option(server-name)\" is no host name, such as collector.example.com"
        }
    }

    # Values go into a file, and not into a command. This goes first: if the BIG-IP does not take it, nothing is changed yet.
    sil_load "the data-group [sil_path group] and the rule [sil_path rule]" "[sil_group_stanza $settings][sil_rule_stanza $rule]"
    # A merge may leave what the file does not name any more.
    set stale [list]
    foreach { name value } [sil_in_force] {
        if { ![info exists setting($name)] } {
            lappend stale $name
        }
    }
    if { [llength $stale] > 0 } {
        sil_do modify "[sil_object group] records delete { [join $stale] }"
    }
    if { $tls } {
        sil_encrypt $collectors $near $option(cert) $option(key) $option(ca) $option(server-name)
        # Its own virtual server a BIG-IP need not ask.
        sil_pool log [list [sil_member $near]] none
    } else {
        # Half a connection is no connection to the collector; nothing listens for one where records come by UDP.
        sil_pool log $collectors [expr { $udp ? "/Common/gateway_icmp" : "/Common/tcp_half_open" }]
        sil_unencrypt
    }
    sil_save
    puts "Installed. Now: tmsh run cli script silhouette_install attach VIRTUAL"
}

proc sil_pool { which members monitor } {
    set members "{ [join $members] }"
    sil_make [sil_object $which] "members add $members monitor $monitor" "members replace-all-with $members monitor $monitor"
}

# A virtual server for this BIG-IP alone, which encrypts what the log pool gets and brings it to the collector.
proc sil_encrypt { collectors near cert key ca host } {
    sil_pool collector $collectors /Common/tcp_half_open
    set tls "cert $cert key $key ca-file $ca peer-cert-mode require authenticate-name $host server-name $host"
    sil_make [sil_object tls] "defaults-from /Common/serverssl $tls" $tls
    set address [lindex $near 0]
    set before [sil_encrypts_at]
    # Nobody beside this BIG-IP is to find it, and it is there on each device of a group.
    set quiet "arp disabled icmp-echo disabled traffic-group none"
    sil_make "ltm virtual-address /Common/$address" "address $address $quiet" $quiet
    set what "pool [sil_path collector] source-address-translation { type automap }"
    set profiles "{ /Common/tcp { } [sil_path tls] { context serverside } }"
    set place "destination /Common/[sil_member $near] ip-protocol tcp mask 255.255.255.255"
    sil_make [sil_object encrypt] "$place profiles add $profiles $what" "$place profiles replace-all-with $profiles $what"
    if { $before ne "" && $before ne $address } {
        sil_delete "ltm virtual-address /Common/$before"
    }
}

# The address of the virtual server that encrypts, if there is one.
proc sil_encrypts_at {} {
    foreach object [sil_config [sil_object encrypt]] {
        if { [tmsh::get_field_value $object destination destination] } {
            return [lindex [split [file tail $destination] ":"] 0]
        }
    }
    return ""
}

proc sil_unencrypt {} {
    set address [sil_encrypts_at]
    sil_delete [sil_object encrypt]
    if { $address ne "" } {
        sil_delete "ltm virtual-address /Common/$address"
    }
    sil_delete [sil_object tls]
    sil_delete [sil_object collector]
}

# The rules of a virtual server by their whole names, in their order.
proc sil_rules { object } {
    set names [list]
    if { [tmsh::get_field_value $object rules rules] } {
        foreach rule $rules {
            lappend names [sil_full $rule]
        }
    }
    return $names
}

proc sil_attached {} {
    set found [list]
    tmsh::cd /
    if { [catch { tmsh::get_config /ltm virtual recursive } virtuals] } {
        set virtuals [list]
    }
    foreach object $virtuals {
        if { [lsearch -exact [sil_rules $object] [sil_path rule]] >= 0 } {
            lappend found [sil_full [tmsh::get_name $object]]
        }
    }
    tmsh::cd /Common
    return $found
}

proc sil_virtual { name } {
    set name [sil_name "virtual server" $name]
    set found [sil_config "ltm virtual $name"]
    if { [llength $found] == 0 } {
        error "there is no virtual server $name: `tmsh list ltm virtual one-line` has the names in /Common; give others with their folder"
    }
    return [list $name [lindex $found 0]]
}

# Changes several virtual servers, or none.
proc sil_together { commands } {
    tmsh::begin_transaction
    if { [catch {
        foreach command $commands {
            sil_do modify $command
        }
        tmsh::commit_transaction
    } said] } {
        catch { tmsh::cancel_transaction }
        error "nothing was changed: $said"
    }
}

proc sil_attach { names } {
    if { [llength $names] == 0 } {
        error "attach needs names of virtual servers"
    }
    if { ![sil_here [sil_object rule]] } {
        error "there is no rule [sil_path rule] yet: install first"
    }
    set commands [list]
    set virtuals [sil_attached]
    foreach name $names {
        foreach { name object } [sil_virtual $name] {}
        set rules [sil_rules $object]
        if { [lsearch -exact $rules [sil_path rule]] >= 0 } {
            puts "$name has the rule already"
            continue
        }
        if { [regexp {^/[^/]+/[^/]+/} $name] } {
            puts "$name lies in a folder: if AS3 or an iApp made it, that takes the rule away when it is deployed again; declare the rule there"
        }
        lappend commands "ltm virtual $name rules { [join [concat $rules [list [sil_path rule]]]] }"
        lappend virtuals $name
    }
    array set setting [sil_in_force]
    set verb [expr { [info exists setting(collect)] ? "modify" : "add" }]
    foreach { clashes right } [sil_clashes [sil_collect [array get setting]] $virtuals] {}
    if { $clashes ne "" } {
        error "$clashes. First: tmsh modify [sil_object group] records $verb { collect { data $right } }"
    }
    if { [llength $commands] > 0 } {
        sil_together $commands
        sil_save
    }
}

proc sil_detach { names } {
    if { [llength $names] == 0 } {
        error "detach needs names of virtual servers, or `all`"
    }
    if { $names eq "all" } {
        set names [sil_attached]
    }
    set commands [list]
    foreach name $names {
        foreach { name object } [sil_virtual $name] {}
        set rules [sil_rules $object]
        set others [list]
        foreach rule $rules {
            if { $rule ne [sil_path rule] } {
                lappend others $rule
            }
        }
        if { [llength $others] == [llength $rules] } {
            puts "$name does not have the rule"
        } elseif { [llength $others] == 0 } {
            lappend commands "ltm virtual $name rules none"
        } else {
            lappend commands "ltm virtual $name rules { [join $others] }"
        }
    }
    if { [llength $commands] > 0 } {
        sil_together $commands
        sil_save
    }
}

proc sil_upgrade { words } {
    array set option { from /var/tmp/silhouette }
    array set option [sil_options upgrade $words { from }]
    if { ![sil_here [sil_object rule]] } {
        error "there is no rule [sil_path rule] to upgrade: install first"
    }
    sil_load "the rule [sil_path rule]" [sil_rule_stanza [sil_rule $option(from)]]
    sil_save
}

proc sil_status {} {
    foreach which { rule group log encrypt tls collector } {
        puts "[sil_object $which]: [expr { [sil_here [sil_object $which]] ? {here} : {not here} }]"
    }
    set attached [sil_attached]
    if { [llength $attached] == 0 } {
        puts "no virtual server has the rule"
    } else {
        puts "virtual servers with the rule: [join $attached {, }]"
    }
    foreach { clashes right } [sil_clashes [sil_collect [sil_in_force]] $attached] {}
    if { $clashes ne "" } {
        puts "$clashes. Set `collect` to $right"
    }
}

proc sil_remove {} {
    set attached [sil_attached]
    if { [llength $attached] > 0 } {
        error "[join $attached {, }] still has the rule: `detach all` first"
    }
    sil_delete [sil_object rule]
    sil_delete [sil_object group]
    sil_delete [sil_object log]
    sil_unencrypt
    sil_save
    puts "Removed. Certificates and keys are yours, and stay; so does this script: tmsh delete cli script silhouette_install"
}

}
