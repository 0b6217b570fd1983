<#
.SYNOPSIS
    Installs the Turbomechanica Data Connector as a Windows service, updates it in place, or removes it.

.DESCRIPTION
    Install   Node.js (LTS, where there is none), Node-RED and the connector, and a service that starts with
              Windows and is restarted when it fails. Run again, it updates and keeps state and settings.
    Update    The newest version of the connector; state and settings stay.
    Uninstall Stops and removes the service and the program. State, settings and logs stay unless -RemoveData is given.

    Run it in a PowerShell with administrator rights. Windows Server 2016 or later, 64 bit.

.EXAMPLE
    .\install.ps1 -Mode both -EnvFile C:\Temp\connector.env

.EXAMPLE
    .\install.ps1 -Action Uninstall
#>
[CmdletBinding()]
param(
    [ValidateSet('Install', 'Update', 'Uninstall')]
    [string] $Action = 'Install',

    # request, schedule or both; an update keeps the one that is there.
    [ValidateSet('request', 'schedule', 'both')]
    [string] $Mode,

    # Copied to the data directory; without it the file that is there already is used.
    [string] $EnvFile,

    # What npm installs: a name with a version, or the path of a tarball for machines without the registry.
    [string] $Package = '@turbomechanica/node-red-data-connector@latest',

    [string] $NodeRed = 'node-red@5',

    # WinSW-x64.exe 2.12.0, for machines that cannot download it.
    [string] $WinSW,

    [string] $InstallDirectory = (Join-Path $env:ProgramFiles 'Turbomechanica\Connector'),

    [string] $DataDirectory = (Join-Path $env:ProgramData 'Turbomechanica\Connector'),

    # With Uninstall: bookmarks, tasks, settings and logs too. What was not delivered is then not remembered.
    [switch] $RemoveData
)

$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'
Set-StrictMode -Version Latest
[Net.ServicePointManager]::SecurityProtocol = [Net.ServicePointManager]::SecurityProtocol -bor [Net.SecurityProtocolType]::Tls12

$ServiceName = 'turbomechanica-connector'
$OldestNode = [version] '20.18.1'
$NodeLine = 'latest-v24.x'
$WinSWUrl = 'https://github.com/winsw/winsw/releases/download/v2.12.0/WinSW-x64.exe'
$WinSWHash = '05B82D46AD331CC16BDC00DE5C6332C1EF818DF8CEEFCD49C726553209B3A0DA'

$Wrapper = Join-Path $InstallDirectory "$ServiceName.exe"
$Definition = Join-Path $InstallDirectory "$ServiceName.xml"
$ModeFile = Join-Path $DataDirectory 'mode.txt'
$Settings = Join-Path $DataDirectory '.env'
$State = Join-Path $DataDirectory 'state'
$Logs = Join-Path $DataDirectory 'logs'
$Entry = Join-Path $InstallDirectory 'node_modules\@turbomechanica\node-red-data-connector\dist\deploy\start.js'

function Invoke-Program {
    param([string] $Program, [string[]] $Arguments)
    Write-Verbose "$Program $($Arguments -join ' ')"
    & $Program @Arguments | Out-Host
    if ($LASTEXITCODE -ne 0) {
        throw "$Program $($Arguments -join ' ') ended with exit code $LASTEXITCODE."
    }
}

function Test-Administrator {
    $identity = [Security.Principal.WindowsIdentity]::GetCurrent()
    $principal = New-Object Security.Principal.WindowsPrincipal($identity)
    return $principal.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)
}

function Assert-Hash {
    param([string] $Path, [string] $Expected)
    $found = (Get-FileHash -LiteralPath $Path -Algorithm SHA256).Hash
    if ($found -ne $Expected) {
        throw "The file $Path is not the one that was expected: its SHA-256 is $found, not $Expected."
    }
}

function Find-Node {
    $candidates = @()
    $onPath = Get-Command node.exe -ErrorAction SilentlyContinue
    if ($onPath) { $candidates += $onPath.Source }
    $candidates += Join-Path $env:ProgramFiles 'nodejs\node.exe'
    foreach ($candidate in $candidates) {
        if (-not (Test-Path -LiteralPath $candidate)) { continue }
        $version = [version] ((& $candidate --version).TrimStart('v'))
        if ($version -ge $OldestNode) { return $candidate }
    }
    return $null
}

# The checksums come from nodejs.org as the installer does: they find a broken download, TLS vouches for the rest.
function Install-Node {
    $folder = "https://nodejs.org/dist/$NodeLine"
    $sums = (Invoke-WebRequest -UseBasicParsing -Uri "$folder/SHASUMS256.txt").Content
    if ($sums -is [byte[]]) { $sums = [Text.Encoding]::UTF8.GetString($sums) }
    if ($sums -notmatch '(?m)^([0-9a-f]{64})  (node-v[0-9.]+-x64\.msi)\s*$') {
        throw "No Windows installer of Node.js was found in $folder."
    }
    $hash = $Matches[1]
    $name = $Matches[2]
    $installer = Join-Path $env:TEMP $name
    Write-Host "Installing Node.js: $name"
    Invoke-WebRequest -UseBasicParsing -Uri "$folder/$name" -OutFile $installer
    Assert-Hash -Path $installer -Expected $hash
    $process = Start-Process -FilePath msiexec.exe -ArgumentList '/i', "`"$installer`"", '/qn', '/norestart' -Wait -PassThru
    Remove-Item -LiteralPath $installer
    # 3010: done, Windows wants to be restarted some time.
    if ($process.ExitCode -notin 0, 3010) { throw "The installer of Node.js ended with exit code $($process.ExitCode)." }
}

# Secrets and state: for the service and administrators alone. Well-known SIDs, for names are translated.
function Protect-DataDirectory {
    New-Item -ItemType Directory -Force -Path $DataDirectory, $State, $Logs | Out-Null
    Invoke-Program icacls.exe @($DataDirectory, '/inheritance:r', '/grant:r',
        '*S-1-5-18:(OI)(CI)F', '*S-1-5-32-544:(OI)(CI)F', '*S-1-5-19:(OI)(CI)M', '/Q')
}

function Install-Package {
    param([string] $Node)
    New-Item -ItemType Directory -Force -Path $InstallDirectory | Out-Null
    $manifest = Join-Path $InstallDirectory 'package.json'
    if (-not (Test-Path -LiteralPath $manifest)) {
        Set-Content -LiteralPath $manifest -Encoding ASCII -Value '{ "name": "turbomechanica-connector", "private": true }'
    }
    $npm = Join-Path (Split-Path -Parent $Node) 'node_modules\npm\bin\npm-cli.js'
    # A relative path is meant from here; npm would look for it in the installation's folder.
    $source = $Package
    if (Test-Path -LiteralPath $Package) { $source = (Resolve-Path -LiteralPath $Package).ProviderPath }
    Write-Host "Installing $source and $NodeRed"
    Invoke-Program $Node @($npm, 'install', '--prefix', $InstallDirectory, '--omit=dev', '--no-audit', '--no-fund',
        '--no-update-notifier', $NodeRed, 'prom-client@15', $source)
}

function Install-Wrapper {
    if (Test-Path -LiteralPath $Wrapper) { return }
    if ($WinSW) {
        Assert-Hash -Path $WinSW -Expected $WinSWHash
        Copy-Item -LiteralPath $WinSW -Destination $Wrapper
        return
    }
    $download = Join-Path $env:TEMP 'WinSW-x64.exe'
    Invoke-WebRequest -UseBasicParsing -Uri $WinSWUrl -OutFile $download
    Assert-Hash -Path $download -Expected $WinSWHash
    Move-Item -LiteralPath $download -Destination $Wrapper -Force
}

function Write-Definition {
    param([string] $Node, [string] $ServiceMode)
    $escape = { param($text) [Security.SecurityElement]::Escape($text) }
    $arguments = "`"$Entry`" $ServiceMode --env-file `"$Settings`" --data `"$State`""
    $xml = @"
<service>
  <id>$ServiceName</id>
  <name>Turbomechanica Data Connector</name>
  <description>Sensor readings from the plant's database to Turbomechanica's cloud.</description>
  <executable>$(& $escape $Node)</executable>
  <arguments>$(& $escape $arguments)</arguments>
  <workingdirectory>$(& $escape $DataDirectory)</workingdirectory>
  <startmode>Automatic</startmode>
  <delayedAutoStart/>
  <stoptimeout>30 sec</stoptimeout>
  <onfailure action="restart" delay="5 sec"/>
  <onfailure action="restart" delay="60 sec"/>
  <resetfailure>1 hour</resetfailure>
  <serviceaccount>
    <domain>NT AUTHORITY</domain>
    <user>LocalService</user>
  </serviceaccount>
  <logpath>$(& $escape $Logs)</logpath>
  <log mode="roll-by-size">
    <sizeThreshold>10240</sizeThreshold>
    <keepFiles>8</keepFiles>
  </log>
</service>
"@
    Set-Content -LiteralPath $Definition -Encoding UTF8 -Value $xml
}

function Stop-Connector {
    $service = Get-Service -Name $ServiceName -ErrorAction SilentlyContinue
    if ($service -and $service.Status -ne 'Stopped') {
        Write-Host 'Stopping the service'
        Stop-Service -Name $ServiceName
        $service.WaitForStatus('Stopped', [TimeSpan]::FromSeconds(60))
    }
    return [bool] $service
}

function Install-Connector {
    $serviceMode = $Mode
    if (-not $serviceMode -and (Test-Path -LiteralPath $ModeFile)) {
        $serviceMode = (Get-Content -LiteralPath $ModeFile -TotalCount 1).Trim()
    }
    if (-not $serviceMode) { throw 'Say which mode is to be installed: -Mode request, schedule or both.' }

    $node = Find-Node
    if (-not $node) {
        Install-Node
        $node = Find-Node
        if (-not $node) { throw 'Node.js was installed but is not found. Open a new PowerShell and try again.' }
    }
    Protect-DataDirectory
    if ($EnvFile) { Copy-Item -LiteralPath $EnvFile -Destination $Settings -Force }
    if (-not (Test-Path -LiteralPath $Settings)) {
        throw "There is no $Settings yet. Give one with -EnvFile; env.example beside this script's folder shows it."
    }

    $installed = Stop-Connector
    try {
        Install-Package -Node $node
        # Before the service: what is wrong with the settings is said here, not in a log.
        Invoke-Program $node @($Entry, $serviceMode, '--env-file', $Settings, '--check')
        Install-Wrapper
        Write-Definition -Node $node -ServiceMode $serviceMode
    }
    catch {
        # What ran before goes on.
        if ($installed) { Start-Service -Name $ServiceName -ErrorAction SilentlyContinue }
        throw
    }
    Set-Content -LiteralPath $ModeFile -Encoding ASCII -Value $serviceMode
    if (-not $installed) { Invoke-Program $Wrapper @('install') }
    Start-Service -Name $ServiceName
    Write-Host "The service $ServiceName runs in mode $serviceMode. Logs: $Logs. Health: `"$node`" `"$Entry`" health --env-file `"$Settings`""
}

function Uninstall-Connector {
    if (Stop-Connector) { Invoke-Program $Wrapper @('uninstall') }
    if (Test-Path -LiteralPath $InstallDirectory) { Remove-Item -LiteralPath $InstallDirectory -Recurse -Force }
    if ($RemoveData) {
        if (Test-Path -LiteralPath $DataDirectory) { Remove-Item -LiteralPath $DataDirectory -Recurse -Force }
    }
    elseif (Test-Path -LiteralPath $DataDirectory) {
        Write-Host "State, settings and logs are kept in $DataDirectory; the next installation goes on from there."
    }
}

if (-not (Test-Administrator)) { throw 'Run this script in a PowerShell that was started as administrator.' }

switch ($Action) {
    'Install' { Install-Connector }
    'Update' { Install-Connector }
    'Uninstall' { Uninstall-Connector }
}
